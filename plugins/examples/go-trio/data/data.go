// Package data reads and writes JSON as the contract has it: as bytes.
package data

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Read is false where the bytes are no JSON object with members of these types.
func Read(from []byte, into any) bool {
	// The decoder would put U+FFFD in the place of what is no UTF-8, and take null for an object.
	object := len(bytes.TrimLeft(from, " \t\r\n")) > 0 && bytes.TrimLeft(from, " \t\r\n")[0] == '{'
	return object && utf8.Valid(from) && json.Unmarshal(from, into) == nil
}

func Write(value any) []byte {
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(written.Bytes(), []byte("\n"))
}
