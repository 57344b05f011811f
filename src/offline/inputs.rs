//! What `-f` names, read to its end and parsed, in order. Nothing is decided here, and nothing of
//! a file is used unless all files can be read.

use std::fs::File;
use std::io::{self, Read};

use crate::cli::Input;
use crate::documents::Stream;

use super::OfflineError;

/// The name of standard input in messages.
const STANDARD_INPUT: &str = "stdin";

/// The largest input in bytes, 256 MiB: far above any chart, and an endless pipe ends in a sentence.
const MAX_INPUT: u64 = 256 << 20;

/// Reads every input.
pub fn streams(inputs: &[Input], stdin: &mut impl Read) -> Result<Vec<Stream>, OfflineError> {
    let of_stdin = inputs.iter().filter(|input| **input == Input::StandardInput);
    if of_stdin.count() > 1 {
        return Err(OfflineError::StandardInputTwice);
    }
    inputs.iter().map(|input| stream(input, stdin)).collect()
}

fn stream(input: &Input, stdin: &mut impl Read) -> Result<Stream, OfflineError> {
    let (name, read) = match input {
        Input::StandardInput => (STANDARD_INPUT.into(), bytes(stdin)),
        Input::File(path) => (path.to_string_lossy(), File::open(path).and_then(bytes)),
    };
    let read = read.map_err(|source| OfflineError::Read { name: name.as_ref().into(), source })?;
    let text = String::from_utf8(read)
        .map_err(|_| OfflineError::NotText { name: name.as_ref().into() })?;
    Ok(Stream::parse(&name, &text)?)
}

fn bytes(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_INPUT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INPUT {
        let size = MAX_INPUT >> 20;
        return Err(io::Error::other(format!("it is larger than {size} MiB: give less at once")));
    }
    Ok(bytes)
}
