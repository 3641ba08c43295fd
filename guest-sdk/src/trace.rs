//! Where the call comes from, for those who follow requests through several services.

/// The `traceparent` (W3C Trace Context) of the request that brought about this call, if it had
/// one. The server hands it on by itself with what the plugin publishes and with the requests that
/// it makes. On other targets than wasm there is none.
pub fn current() -> Option<String> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::tidegate::plugin::trace::current();
    #[cfg(not(target_arch = "wasm32"))]
    None
}
