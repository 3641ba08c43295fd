// Package export_tidegate_plugin_channel_handler refuses messages that are too long, and counts the
// others.
package export_tidegate_plugin_channel_handler

import (
	"fmt"
	"runtime"
	"strconv"

	wit "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/tidegate_plugin_channel_handler"
	"wit_component/tidegate_plugin_types"
)

// Of a message, in bytes.
const longest = 200

// Channel begins with what the bindings need.
type Channel struct {
	pinner runtime.Pinner
	handle int32

	messages uint64
}

// ChannelOpen is handed strings and bytes that are only lent to it: what it keeps it copies.
func ChannelOpen(_ string, _ Captures, snapshot wit.Option[[]byte]) wit.Result[*Channel, string] {
	channel := &Channel{}
	if snapshot.IsSome() {
		messages, err := strconv.ParseUint(string(snapshot.Some()), 10, 64)
		if err != nil {
			return wit.Err[*Channel, string](err.Error())
		}
		channel.messages = messages
	}
	return wit.Ok[*Channel, string](channel)
}

func (*Channel) OnDrop() {}

func (channel *Channel) Save() wit.Option[[]byte] {
	return wit.Some([]byte(strconv.FormatUint(channel.messages, 10)))
}

func (channel *Channel) OnSubscribe(_ Caller, _ wit.Option[[]byte], respond bool) wit.Result[Acceptance, Denial] {
	accepted := Acceptance{Response: wit.None[Response]()}
	if respond {
		payload := fmt.Appendf(nil, `{"messages":%d}`, channel.messages)
		accepted.Response = wit.Some(Response{Kind: tidegate_plugin_types.PayloadKind_Json, Payload: payload})
	}
	return wit.Ok[Acceptance, Denial](accepted)
}

func (channel *Channel) OnPublish(message Message) Outcome {
	if len(message.Payload) > longest {
		reason := fmt.Sprintf("A message has at most %d bytes.", longest)
		return Outcome{Verdict: MakeVerdictDeny(Denial{Code: 1, Reason: reason})}
	}
	channel.messages++
	return Outcome{Verdict: MakeVerdictPass()}
}

func (*Channel) OnUnsubscribe(Caller, Departure) []Effect {
	return nil
}

func (*Channel) OnTimer(uint32) []Effect {
	return nil
}
