//! Each webhook by itself: the same edits, or a difference that the table names.

use super::differences::{self, Compared, difference};
use super::kinds;
use super::stage::{Made, outcomes};

#[tokio::test]
async fn alone_both_make_the_same_edits_or_differ_as_the_table_says() {
    let mut wrong = Vec::new();
    for (flags, outcomes) in outcomes().await.into_iter().enumerate() {
        assert_eq!(outcomes.len(), kinds::COUNT + differences::COUNT);
        for outcome in outcomes {
            let (name, made_of) = (&outcome.name, &outcome.made_of);
            let Made::Pod(ours) = &outcome.ours.made else { panic!("{name}: {:?}", outcome.ours) };
            let wanted = difference(name).map_or(Compared::Same, |known| known.alone[flags]);
            if let Some(otherwise) = wanted.otherwise(&outcome.peer.made, ours) {
                wrong.push(format!("{name}, {made_of}: {otherwise}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
