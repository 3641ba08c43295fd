//! Some fields of a JSON object as they stand in it, for dialects whose frames are few. Of a key
//! that stands twice the last counts; `null` is a field left out; other fields are passed over.

use crate::core::Refusal;
use crate::core::json::{self, NoObject, Wanted};

/// The fields `names` of a text frame, in their order.
///
/// # Errors
/// `bad_json`; for JSON that is no object `type_required`.
pub fn fields<'a, const N: usize>(
    message: &'a [u8],
    names: [&str; N],
) -> Result<[Option<&'a str>; N], Refusal> {
    let mut wanted = Named { names, values: [None; N] };
    match json::members(message, &mut wanted) {
        Ok(()) => Ok(wanted.values),
        Err(NoObject) if json::is_value(message) => Err(Refusal::TypeRequired),
        Err(NoObject) => Err(Refusal::BadJson),
    }
}

struct Named<'n, 'a, const N: usize> {
    names: [&'n str; N],
    values: [Option<&'a str>; N],
}

impl<'a, const N: usize> Wanted<'a> for Named<'_, 'a, N> {
    fn place(&mut self, name: &[u8]) -> Option<&mut Option<&'a str>> {
        let index = self.names.iter().position(|wanted| wanted.as_bytes() == name)?;
        Some(&mut self.values[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_as_they_stand() {
        let got = |json: &'static str| fields(json.as_bytes(), ["a", "b"]);
        assert_eq!(got(r#"{"b":[1 ,2],"x":{},"a":null}"#), Ok([None, Some("[1 ,2]")]));
        assert_eq!(got(r#"{"a":1,"\u0061":2}"#), Ok([Some("2"), None]));
        assert_eq!(got("[1]"), Err(Refusal::TypeRequired));
        assert_eq!(got("5"), Err(Refusal::TypeRequired));
        assert_eq!(got(r#"{"a":1} x"#), Err(Refusal::BadJson));
        assert_eq!(got("hello"), Err(Refusal::BadJson));
        assert_eq!(got(""), Err(Refusal::BadJson));
    }
}
