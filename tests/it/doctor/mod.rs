//! `pod-identity-webhook doctor` on a real control plane: set-ups that are broken in one way each, and
//! what a person sees of it, word for word.
//!
//! `golden/<set-up>.txt` is the text, with ports and times masked; `UPDATE_GOLDEN=1` writes it anew.
//!
//! | set-up of a broken cluster | told by |
//! |---|---|
//! | no configuration | `doctor`: `configuration` |
//! | wrong caBundle | `doctor`: `certificate` |
//! | expired certificate | `doctor`: `expiry` |
//! | v1beta1 only | `doctor`: `review-versions` |
//! | failurePolicy Ignore with the webhook down | `doctor`: `reachable` |
//! | selector that excludes | `doctor`: `selectors` |
//! | missing RBAC | `doctor`: `rights` |
//! | malformed ARN | `doctor`: `role-arns` |
//! | near-miss annotation | `doctor`: `annotations` |
//! | ServiceAccount annotated after the Pod | `doctor`: `missed-pods`; `explain pod` names the Pod's times |
//! | static keys | `doctor`: `shadowing`; `explain pod` names the container |
//! | taken mount path | `doctor`: `containers`; `explain pod` names what is mounted there |
//! | unknown skip container | `doctor`: `containers`; `explain pod` |
//! | mapping to nothing | `doctor`: `mappings` |

mod command;
mod forwarded;
mod healthy;
mod kubelet;
mod objects;
mod session;
mod setups;
mod stage;
