//! The webhook as its own certificate authority: what is kept, what is made, and when each turns.
//!
//! ```text
//! Secret --read--> Ledger --+                        +--> the Secret, the caBundle
//!                           +--> Replica --> Action --+
//! caBundle -read-> Bundle --+    (pure)              +--> Leaf --> tls::Pair
//! ```
//!
//! A rotation. `C` and `X` are CAs; a leaf may be served only while every API server trusts its CA:
//!
//! ```text
//!                 2/3 of C's life       overlap       until: leaf validity + margin
//! ledger  current C     | C             | X            | X
//!         next          | X             |              |
//!         retired       |               | C            |
//! bundle  C             | C X           | X C          | X
//! leaves  signed by C ----------------------> X ------------------------------------>
//! ```
//!
//! The invariant: the bundle is a function of the ledger; a CA enters it long before a leaf that it
//! signed is served and leaves it long after; and a replica that cannot tell waits. No Kubernetes
//! client, no clock and no logging in here: the caller observes, and does what the actions say.

mod authorities;
mod bundle;
mod certificate;
mod leaf;
mod ledger;
mod observed;
mod policy;
mod rotation;
mod secret;
#[cfg(test)]
mod tests;

pub use authorities::{Ca, CaError, Key, MakeError};
pub use bundle::Bundle;
pub use certificate::{BACKDATE, CaCertificate, CaId, CertificateError, Validity};
pub use leaf::{Leaf, LeafError, ServiceNames};
pub use ledger::{Ledger, Retired};
pub use observed::{Configuration, Now, Observed, Secret};
pub use policy::{Policy, PolicyError};
pub use rotation::{Action, Change, LeafOrder, Plan, Replica, Serving, Standing};
pub use secret::{KEYS, LedgerError};
