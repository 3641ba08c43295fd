// Payloads are bytes. The small engine has no TextEncoder; what it has for Base64 does the same.

// The engine's: the types are those of the language alone.
declare const btoa: (binary: string) => string;
declare const atob: (base64: string) => string;

export const utf8 = (text: string) => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))));

/** Throws where the bytes are not UTF-8. */
export const text = (bytes: Uint8Array) => decodeURIComponent(escape(atob(bytes.toBase64())));
