/*
  Reads one QR code with the camera: by the browser's own reader where it has one, else by the package `qr`, loaded then.
  No picture is kept or sent.
*/
const LONGEST_MS = 60 * 1000;
const PAUSE_MS = 120;
const SIDE_MAX = 800;

const makeReader = async (decoder) => {
  if ("BarcodeDetector" in window) {
    const formats = await window.BarcodeDetector.getSupportedFormats().catch(() => []);
    if (formats.includes("qr_code")) {
      const own = new window.BarcodeDetector({ formats: ["qr_code"] });
      return async (video) => (await own.detect(video))[0]?.rawValue || null;
    }
  }
  const { decodeQR } = await import(decoder);
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, SIDE_MAX / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    if (!canvas.width || !canvas.height) return null;
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    try {
      return decodeQR(pen.getImageData(0, 0, canvas.width, canvas.height)) || null;
    } catch (problem) {
      return null; // no code in this picture
    }
  };
};

/* The text of the first code that is seen; null when it was stopped, or none was seen for a minute. */
export const readCode = async (video, decoder, signal) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  try {
    video.srcObject = stream;
    await video.play();
    const read = await makeReader(decoder);
    const until = performance.now() + LONGEST_MS;
    while (!signal.aborted && performance.now() < until) {
      const text = await read(video);
      if (text) return text;
      await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
    }
    return null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
};
