//! Durations as Go writes them, which flags and API servers use: `0`, `500ms`, `1m30s`, `1.5h`.
//!
//! It is `time.ParseDuration` without signs: nothing here takes a time that lies in the past.

use std::time::Duration;

/// Not a duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotADuration;

/// Reads a duration.
///
/// # Errors
///
/// If `text` has no unit, an unknown one, a sign, or is out of range.
pub fn parse(text: &str) -> Result<Duration, NotADuration> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(NotADuration);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at(rest.find(|c| !is_number(c)).ok_or(NotADuration)?);
        let (unit, tail) = tail.split_at(tail.find(is_number).unwrap_or(tail.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(NotADuration),
        };
        let number: f64 = number.parse().map_err(|_| NotADuration)?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| NotADuration)?;
        total = total.checked_add(part).ok_or(NotADuration)?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("0", 0),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2h45m", 9_900_000),
            ("10s", 10_000),
            ("1500us", 1),
        ] {
            assert_eq!(parse(text).map(|d| d.as_millis()), Ok(millis), "{text}");
        }
        for text in ["", "5", "ms", "-1s", "1x", "1.2.3s", "1s 2s", "1e400h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
