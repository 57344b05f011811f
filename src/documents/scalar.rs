//! What a plain YAML scalar means to kubectl: the rules of go-yaml v2 (`resolve.go`), which
//! sigs.k8s.io/yaml uses, so YAML 1.1: `on` and `y` are booleans, `0644` is 420, `1_000` is 1000,
//! and a date stays a string. YAML 1.2 readers disagree with each of these. Reading and writing
//! share this one table, so what is quoted is exactly what would be misread.

use serde_json::{Number, Value};

/// The value of a plain scalar. A float may be infinite or not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    /// Empty, `~` or a spelling of `null`.
    Null,
    /// One of the YAML 1.1 spellings, `y` and `n` among them.
    Bool(bool),
    /// An integer that fits 64 bits, with its sign.
    Signed(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Everything else: the text is its own value.
    Text,
}

/// Resolves an untagged plain scalar as go-yaml v2 does.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.bytes().next() {
        Some(b'.') => float(text).unwrap_or(Scalar::Text),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            integer(&plain)
                .or_else(|| float(&plain))
                .or_else(|| signed_binary(&plain))
                .unwrap_or(Scalar::Text)
        }
        _ => Scalar::Text,
    }
}

/// The name that kubectl gives to a mapping key of this value (`convertToJSONableObject` in
/// sigs.k8s.io/yaml), or `None` where it refuses the key.
pub(super) fn key(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(float_key),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The JSON number of a scalar; `None` for what JSON cannot say (infinity, not a number).
pub(super) fn number(value: f64) -> Option<Value> {
    Number::from_f64(value).map(Value::Number)
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => ("-", text.get(1..)?),
        Some(b'+') => ("+", text.get(1..)?),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let magnitude = magnitude(digits, radix)?;
    match sign {
        "-" => 0_i64.checked_sub_unsigned(magnitude).map(Scalar::Signed),
        _ => match i64::try_from(magnitude) {
            Ok(small) => Some(Scalar::Signed(small)),
            Err(_) if sign.is_empty() => Some(Scalar::Unsigned(magnitude)),
            Err(_) => None,
        },
    }
}

/// go-yaml's fallback for `0b`, which lets a sign stand behind the prefix.
fn signed_binary(text: &str) -> Option<Scalar> {
    let digits = text.strip_prefix("0b")?;
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+')?),
    };
    let magnitude = magnitude(digits, 2)?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Scalar::Signed)
    } else {
        i64::try_from(magnitude).ok().map(Scalar::Signed)
    }
}

fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`; a number that is too large for a
/// double is a string.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 32)`: `1.10:` is the key `1.1`.
#[expect(clippy::cast_possible_truncation, reason = "Go formats these keys as 32-bit floats")]
fn float_key(value: f64) -> String {
    let narrow = value as f32;
    if narrow.is_infinite() {
        return if narrow > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() };
    }
    let scientific = format!("{narrow:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{narrow}")
}
