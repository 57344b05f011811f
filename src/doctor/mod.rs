//! `doctor`: everything between an annotation and a Pod with an identity, looked at and judged.
//!
//! ```text
//! the cluster --gather (IO, once)--> Observed --CHECKS (pure)--> Report --> text, JSON, exit code
//! ```
//!
//! Reads and never writes: its one Pod is a server-side dry run, and the one token that it asks for
//! is forgotten once its claims are read. What could not be looked at is a line of its own, never a
//! pass. No value of a Pod's variable is ever kept, so none can be shown.
//!
//! A new check is a line in `cli`'s table of checks, a value in [`CHECKS`], and a function from
//! [`Observed`] to lines. What it needs observed, it says.

mod check;
mod checks;
mod gather;
mod line;
mod observed;
mod report;
mod text;

pub use check::{CHECKS, Check, Need, Selection};
pub use gather::{Question, Standpoint, Walked, gather};
pub use line::{Line, Mark};
pub use observed::Observed;
pub use report::{Health, Judged, Report};
pub use text::{Marks, Style};
