//! Percent-encoding (RFC 3986, section 2.1), in queries and in paths.

/// The values of a query by name, in their order; none for a value that is not well formed.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter_map(|(name, value)| Some((decode(name)?, decode(value))))
}

/// `%41` to `A`, `+` to a space; none for what is not UTF-8 or not well formed.
pub fn decode(text: &str) -> Option<String> {
    decoded(text, b' ')
}

/// The same in a path, where `+` is itself.
pub fn decode_path(text: &str) -> Option<String> {
    decoded(text, b'+')
}

fn decoded(text: &str, plus: u8) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                (high * 16 + low) as u8
            }
            b'+' => plus,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_path_differ_in_the_plus() {
        assert_eq!(decode("a%2Bb+c%C3%BC"), Some("a+b cü".into()));
        assert_eq!(decode_path("a%2Bb+c"), Some("a+b+c".into()));
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_query_has_its_pairs_in_order() {
        let got: Vec<_> = pairs("channel=a&x&channel=b%26c&bad=%zz&=").collect();
        let want = [
            ("channel", Some("a")),
            ("x", Some("")),
            ("channel", Some("b&c")),
            ("bad", None),
            ("", Some("")),
        ];
        assert_eq!(got, want.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))));
    }
}
