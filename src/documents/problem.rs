//! What can be wrong with a text, and where. A problem never quotes the text: what stands in a
//! document may be a secret, and errors are logged.

use super::yaml::MAX_DEPTH;

/// Why a text could not be read, and where, counted from 1.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) problem: Problem,
}

/// What is wrong with a text. None of it quotes the text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not YAML; the parser's constant sentence.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Json(&'static str),
    /// A mapping has the same key twice.
    #[error("the same key stands twice in one mapping; remove one of them")]
    DuplicateKey,
    /// A mapping has a key that JSON cannot have.
    #[error("a key must be a string, a number or a boolean; put it in quotes")]
    Key,
    /// `<<` stands before something else than mappings.
    #[error("`<<` needs a mapping or a list of mappings")]
    Merge,
    /// `<<` sets a key that was set before it, to another value.
    #[error(
        "`<<` stands behind a key that it sets as well, and readers of YAML differ about which \
         wins; put `<<` first"
    )]
    MergeOrder,
    /// An alias stands inside of what it refers to.
    #[error("an alias stands inside the node that it refers to")]
    RecursiveAlias,
    /// Aliases multiply the document beyond the limit.
    #[error("aliases make the document too large; write it without them")]
    TooManyAliases,
    /// The nesting is too deep.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A tag such as `!!int` stands before a scalar that is none.
    #[error("the scalar does not fit its tag")]
    Tag,
    /// A number that JSON has no word for.
    #[error("infinity and not-a-number cannot be sent to Kubernetes; put them in quotes")]
    NotFinite,
    /// A second document begins where none can.
    #[error("a second document begins without `---`")]
    SecondDocument,
}
