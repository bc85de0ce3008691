#!/bin/sh
# Install Debian packages that are missing, as root or through sudo, and say clearly what could not be had.
# With --optional, what is missing is said and is no error.
set -eu

optional=no
if [ "${1:-}" = --optional ]; then
  optional=yes
  shift
fi

is_installed() {
  if command -v dpkg-query > /dev/null; then
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
  else
    command -v "$1" > /dev/null
  fi
}

list_missing() {
  for package in "$@"; do
    is_installed "$package" || printf '%s ' "$package"
  done
}

missing=$(list_missing "$@")
[ -n "$missing" ] || exit 0

if ! command -v apt-get > /dev/null; then
  echo "Not installed, and this is no Debian: $missing" >&2
elif [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
  as_root="sudo -n"
else
  echo "Not installed: $missing(needs root: apt-get install $missing)" >&2
fi

# A server that is installed here is for us to start: Debian would start it as the machine's own, on port 80.
policy=/usr/sbin/policy-rc.d

if [ -n "${as_root+set}" ]; then
  echo "Installing $missing"
  if [ ! -e "$policy" ]; then
    # Each service asks it whether to start; 101 is no.
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" > /dev/null
    $as_root chmod 755 "$policy"
    # shellcheck disable=SC2064
    trap "$as_root rm -f $policy" EXIT
  fi
  # shellcheck disable=SC2086
  {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes $missing
  } > /dev/null || echo "apt-get could not install: $missing" >&2
fi

missing=$(list_missing "$@")
[ -z "$missing" ] || [ "$optional" = yes ]
