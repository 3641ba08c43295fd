// A chat: takes {"text": "…"}, checks it, and delivers it with the sender's name.

package export_tidegate_plugin_channel_handler

import (
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	wit "go.bytecodealliance.org/pkg/wit/types"

	"wit_component/data"
	"wit_component/memory"
	. "wit_component/tidegate_plugin_channel_handler"
	"wit_component/tidegate_plugin_types"
)

// In characters, once the text is trimmed.
const longest = 500

// Channel begins with what the bindings need.
type Channel struct {
	pinner runtime.Pinner
	handle int32

	room string
}

type line struct {
	Text string `json:"text"`
	From string `json:"from"`
}

// ChannelOpen is handed strings that are only lent to it: what it keeps it clones.
func ChannelOpen(name string, captures Captures, _ wit.Option[[]byte]) wit.Result[*Channel, string] {
	room := name
	for _, capture := range captures {
		if capture.F0 == "room" {
			room = capture.F1
		}
	}
	return wit.Ok[*Channel, string](&Channel{room: strings.Clone(room)})
}

func (*Channel) OnDrop() {}

func (*Channel) Save() wit.Option[[]byte] {
	return wit.None[[]byte]()
}

func (channel *Channel) OnSubscribe(who Caller, _ wit.Option[[]byte], respond bool) wit.Result[Acceptance, Denial] {
	memory.Collect()
	accepted := Acceptance{Response: wit.None[Response]()}
	if respond {
		text := fmt.Sprintf("Welcome to %s, %s.", channel.room, who.User)
		payload := data.Write(line{Text: text, From: "server"})
		accepted.Response = wit.Some(Response{Kind: tidegate_plugin_types.PayloadKind_Json, Payload: payload})
	}
	return wit.Ok[Acceptance, Denial](accepted)
}

func (*Channel) OnPublish(message Message) Outcome {
	memory.Collect()
	return Outcome{Verdict: check(message)}
}

func (*Channel) OnUnsubscribe(Caller, Departure) []Effect {
	return nil
}

func (*Channel) OnTimer(uint32) []Effect {
	return nil
}

func deny(code uint16, reason string) Verdict {
	return MakeVerdictDeny(Denial{Code: code, Reason: reason})
}

func check(message Message) Verdict {
	var said struct {
		Text *string `json:"text"`
	}
	isJSON := message.Kind == tidegate_plugin_types.PayloadKind_Json
	if !isJSON || !data.Read(message.Payload, &said) || said.Text == nil {
		return deny(3, `A message looks like {"text":"hello"}.`)
	}
	text := strings.TrimSpace(*said.Text)
	if text == "" {
		return deny(1, "Say something: the text is empty.")
	}
	if length := utf8.RuneCountInString(text); length > longest {
		return deny(2, fmt.Sprintf("The text has %d characters; at most %d are allowed.", length, longest))
	}
	from := "server"
	if message.Sender.IsSome() {
		from = message.Sender.Some().User
	}
	return MakeVerdictReplace(data.Write(line{Text: text, From: from}))
}
