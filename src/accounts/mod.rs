//! What is known about ServiceAccounts: the accounts themselves and the documents that name them.

mod credentials;
mod error;
mod mappings;
mod pairs;

pub use credentials::Credentials;
pub use error::{AccountsError, Document, EntryError};
pub use mappings::Mappings;

/// The largest container-credentials file that is read: 20 MiB, many times what a ConfigMap or a
/// Secret can hold (1 MiB).
pub const MAX_FILE_BYTES: u64 = 20 << 20;
