// Package export_tidegate_plugin_info is what the plugin says of itself.
package export_tidegate_plugin_info

import . "wit_component/tidegate_plugin_info"

func Describe() About {
	return About{
		Version:  "0.1.0",
		Summary:  "Counts messages, and refuses long ones.",
		Channels: []string{"{{name}}:*"},
	}
}
