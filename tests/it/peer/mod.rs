//! The Go webhook and ours: the same edits, or a difference that is named; and both at once, in
//! either order, over a hundred kinds of Pod.
//!
//! `make peer` builds the Go webhook. Kinds of Pod on which the two are of one mind come from a
//! table of dimensions ([`kinds`]); each on which they are not stands alone, with the reason and
//! what comes of it ([`differences`]). Every kind is created by dry run on a real API server, under
//! each webhook alone and under both ([`stage`]), with two sets of flags.

mod alone;
mod compare;
mod differences;
mod kinds;
mod sketch;
mod stage;
mod together;
