// Text and JSON as the bytes that the contract has. The small engine has no TextDecoder, and a loop
// over bytes is slow in it: what it has built in for Base64 and URLs does the same in one go.

// The engine's, whatever it is: the types are those of the language alone.
declare const btoa: (binary: string) => string;
declare const atob: (base64: string) => string;
declare const TextEncoder: undefined | (new () => { encode(text: string): Uint8Array });
declare const TextDecoder:
  | undefined
  | (new (encoding: string, options: { fatal: boolean }) => { decode(bytes: Uint8Array): string });

export const utf8: (text: string) => Uint8Array =
  typeof TextEncoder === "undefined"
    ? (text) => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))))
    : (text) => new TextEncoder().encode(text);

/** Throws where the bytes are not UTF-8. */
const text: (bytes: Uint8Array) => string =
  typeof TextDecoder === "undefined"
    ? (bytes) => decodeURIComponent(escape(atob(bytes.toBase64())))
    : (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

export const json = (value: unknown) => utf8(JSON.stringify(value));

/** The JSON value in some bytes; undefined where there is none. Any value has properties but null. */
export function parse(bytes: Uint8Array): any {
  try {
    return JSON.parse(text(bytes));
  } catch {
    return undefined;
  }
}

/** Base64 for URLs without padding (RFC 4648, 5); undefined where the text is something else. */
export function fromBase64Url(text: string): Uint8Array | undefined {
  const url = { alphabet: "base64url", omitPadding: true } as const;
  try {
    const bytes = Uint8Array.fromBase64(text, url);
    // It takes blanks, padding and bits that no byte has too.
    return bytes.toBase64(url) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}
