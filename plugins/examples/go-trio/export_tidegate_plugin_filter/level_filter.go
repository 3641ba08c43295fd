// A filter for log lines: passes messages of a level or above.

package export_tidegate_plugin_filter

import (
	wit "go.bytecodealliance.org/pkg/wit/types"

	"wit_component/data"
	"wit_component/memory"
	. "wit_component/tidegate_plugin_filter"
	"wit_component/tidegate_plugin_types"
)

var levels = map[string]int{"debug": 0, "info": 1, "warn": 2, "warning": 2, "error": 3, "fatal": 4}

// Add: filters with the same level are one; its number is their id.
func Add(params []byte) wit.Result[uint32, string] {
	var wanted struct {
		Min string `json:"min"`
	}
	level, known := 0, false
	if data.Read(params, &wanted) {
		level, known = levels[wanted.Min]
	}
	if !known {
		return wit.Err[uint32]("`min` must be one of debug, info, warn, error, fatal.")
	}
	return wit.Ok[uint32, string](uint32(level))
}

func Remove(uint32) {}

// Evaluate: bit m * len(ids) + i, from the lowest of the first word, is whether message m passes filter ids[i].
func Evaluate(ids []uint32, messages Batch) []uint64 {
	memory.Collect()
	words := make([]uint64, (len(messages.Kinds)*len(ids)+63)/64)
	bit := 0
	for m, kind := range messages.Kinds {
		level := -1
		if kind == tidegate_plugin_types.PayloadKind_Json {
			level = levelOf(messages.Data[messages.Ends[2*m]:messages.Ends[2*m+1]])
		}
		for _, least := range ids {
			if level >= int(least) {
				words[bit/64] |= 1 << (bit % 64)
			}
			bit++
		}
	}
	return words
}

// levelOf is -1 where a message has none.
func levelOf(message []byte) int {
	var line struct {
		Level string `json:"level"`
	}
	if data.Read(message, &line) {
		if level, known := levels[line.Level]; known {
			return level
		}
	}
	return -1
}
