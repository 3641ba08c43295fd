//! Is what came what was expected?

use serde_json::Value;

/// Stands for any value.
const ANY: &str = "<any>";

/// An object must have the expected one's fields, and may have more; everything else is equal.
/// Where it is not so: the way to it, and what differs.
pub fn mismatch(expected: &Value, got: &Value) -> Option<String> {
    at(&mut String::new(), expected, got)
}

fn at(way: &mut String, expected: &Value, got: &Value) -> Option<String> {
    let length = way.len();
    match (expected, got) {
        (Value::String(any), _) if any == ANY => None,
        (Value::Object(expected), Value::Object(got)) => expected.iter().find_map(|(key, expected)| {
            way.extend([if length == 0 { "" } else { "." }, key]);
            let found = match got.get(key) {
                Some(got) => at(way, expected, got),
                None => Some(format!("there is no `{way}`")),
            };
            way.truncate(length);
            found
        }),
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            expected.iter().zip(got).zip(0..).find_map(|((expected, got), n)| {
                way.push_str(&format!("[{n}]"));
                let found = at(way, expected, got);
                way.truncate(length);
                found
            })
        }
        _ if equal(expected, got) => None,
        _ if way.is_empty() => Some("it is something else".into()),
        _ => Some(format!("`{way}` is {got}, and not {expected}")),
    }
}

/// 1 is 1.0.
fn equal(expected: &Value, got: &Value) -> bool {
    expected == got || matches!((expected.as_f64(), got.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn more_fields_do_no_harm_and_others_are_named() {
        let got = json!({ "a": 1, "b": { "c": [1, { "d": "x", "e": 2 }] } });
        for good in [json!({}), json!({ "a": 1.0 }), json!({ "b": { "c": [1, { "d": "<any>" }] } })] {
            assert_eq!(mismatch(&good, &got), None, "{good}");
        }
        let said = |expected: Value| mismatch(&expected, &got).unwrap();
        assert_eq!(said(json!({ "z": 1 })), "there is no `z`");
        assert_eq!(said(json!({ "b": { "c": [1, { "d": "y" }] } })), r#"`b.c[1].d` is "x", and not "y""#);
        assert_eq!(said(json!({ "b": { "c": [1] } })), r#"`b.c` is [1,{"d":"x","e":2}], and not [1]"#);
        assert_eq!(said(json!([])), "it is something else");
    }
}
