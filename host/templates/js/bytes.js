// Payloads are bytes. The small engine has no TextEncoder; what it has for Base64 does the same.

export const utf8 = (text) => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))));

/** Throws where the bytes are not UTF-8. */
export const text = (bytes) => decodeURIComponent(escape(atob(bytes.toBase64())));
