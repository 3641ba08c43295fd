// Package export_tidegate_plugin_info is what the component says of itself.
package export_tidegate_plugin_info

import . "wit_component/tidegate_plugin_info"

func Describe() About {
	return About{
		Version:  "1.0.0",
		Summary:  "A chat, users by token and a filter by level, in Go.",
		Channels: []string{"chat:{room}", "chat:*"},
	}
}
