//! What wit-bindgen makes of `wit/`: one set of types and imports, and one module
//! for each capability. The whole type of a world comes with its export macro only,
//! so a plugin carries nothing of the capabilities that it lacks.
#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package tidegate:guest-sdk;
        world base {
            import tidegate:plugin/types@0.1.0;
            import tidegate:plugin/log@0.1.0;
            import tidegate:plugin/config@0.1.0;
            import tidegate:plugin/store@0.1.0;
            import tidegate:plugin/presence@0.1.0;
            import tidegate:plugin/history@0.1.0;
            import tidegate:plugin/groups@0.1.0;
            import tidegate:plugin/trace@0.1.0;
        }
    ",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq],
    disable_custom_section_link_helpers: true,
});

macro_rules! capability {
    ($module:ident, $world:literal, $export:literal, $($shared:tt)*) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "wit",
                world: $world,
                with: { $($shared)* },
                pub_export_macro: true,
                export_macro_name: $export,
                additional_derives: [PartialEq],
                disable_custom_section_link_helpers: true,
            });
        }
    };
}

macro_rules! capability_with_types {
    ($module:ident, $world:literal, $export:literal) => {
        capability!($module, $world, $export,
            "tidegate:plugin/types@0.1.0": crate::bindings::tidegate::plugin::types,
            "tidegate:plugin/log@0.1.0": crate::bindings::tidegate::plugin::log,
            "tidegate:plugin/config@0.1.0": crate::bindings::tidegate::plugin::config,
            "tidegate:plugin/store@0.1.0": crate::bindings::tidegate::plugin::store,
            "tidegate:plugin/presence@0.1.0": crate::bindings::tidegate::plugin::presence,
            "tidegate:plugin/history@0.1.0": crate::bindings::tidegate::plugin::history,
            "tidegate:plugin/groups@0.1.0": crate::bindings::tidegate::plugin::groups,
            "tidegate:plugin/trace@0.1.0": crate::bindings::tidegate::plugin::trace,
        );
    };
}

capability_with_types!(channel, "channel-plugin", "export_channel");
capability_with_types!(auth, "auth-plugin", "export_auth");
capability_with_types!(filter, "filter-plugin", "export_filter");
capability_with_types!(actions, "actions-plugin", "export_actions");
capability!(info, "info-plugin", "export_info",);
