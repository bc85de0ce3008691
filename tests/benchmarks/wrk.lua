-- Sends prepared requests, each once: the file holds them with a zero byte behind each. Counts what is not a 201.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = io.open(arguments[1], "rb")
  requests, sent, refused = {}, 0, 0
  for request in file:read("*a"):gmatch("([^%z]+)%z") do
    requests[#requests + 1] = request
  end
  file:close()
  prepared = #requests
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % prepared + 1]
end

function response(status)
  if status ~= 201 then refused = refused + 1 end
end

function done(summary, latency)
  local thread = threads[1]
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "microseconds": %d, "p95_us": %d, "refused": %d, "sent": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(95), thread:get("refused"), thread:get("sent"),
    errors.connect + errors.read + errors.write + errors.timeout))
end
