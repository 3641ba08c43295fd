//! Refusals, and the one error type of this crate.

use crate::Denial;

impl Denial {
    /// `code` and `reason` reach the client as `reason_code` and as the error's message.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// With code 0.
impl From<String> for Denial {
    fn from(reason: String) -> Self {
        Self::new(0, reason)
    }
}

/// With code 0.
impl From<&str> for Denial {
    fn from(reason: &str) -> Self {
        Self::new(0, reason)
    }
}

/// The reason; where only a text is asked for the code is lost.
impl From<Denial> for String {
    fn from(denial: Denial) -> Self {
        denial.reason
    }
}

/// Returns from the function with a [`Denial`]: a code, then a text as in `format!`.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// fn check(text: &str) -> Result<(), Denial> {
///     if text.len() > 500 {
///         deny!(2, "The text has {} bytes; at most 500 are allowed.", text.len());
///     }
///     Ok(())
/// }
/// assert_eq!(check(&"x".repeat(501)).unwrap_err().code, 2);
/// ```
#[macro_export]
macro_rules! deny {
    ($code:expr, $($text:tt)+) => {
        return ::core::result::Result::Err(
            $crate::Denial::new($code, ::std::format!($($text)+)).into(),
        )
    };
}
