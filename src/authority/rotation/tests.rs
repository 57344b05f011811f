//! Any number of faults in any order: no gap, and progress once they end.

use proptest::prelude::*;

use super::{
    world::{Event, REPLICAS, World},
    *,
};

/// The same cases each time. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` make it others, and more.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 200;
    }
    config
}

fn replica() -> impl Strategy<Value = usize> {
    0..REPLICAS
}

/// What replicas and time do.
fn course() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (replica(), 1_u8..8).prop_map(|(replica, steps)| Event::Run { replica, steps }),
        2 => (0_u64..40).prop_map(|seconds| Event::Stall { seconds }),
        4 => (1_u64..90).prop_map(|seconds| Event::Pass { seconds }),
        2 => (90_u64..2400).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

/// What befalls them.
fn fault() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => replica().prop_map(|replica| Event::Crash { replica }),
        6 => replica().prop_map(|replica| Event::Start { replica }),
        2 => replica().prop_map(|replica| Event::Part { replica }),
        3 => replica().prop_map(|replica| Event::Heal { replica }),
        1 => replica().prop_map(|replica| Event::Glimpse { replica }),
        2 => Just(Event::DeleteSecret),
        1 => any::<bool>().prop_map(|readable| Event::CorruptSecret { readable }),
        1 => Just(Event::EmptySecret),
        2 => Just(Event::ForeignSecret),
        1 => any::<usize>().prop_map(|back| Event::RestoreSecret { back }),
        1 => Just(Event::EmptyBundle),
        1 => Just(Event::ForeignBundle),
        1 => any::<usize>().prop_map(|back| Event::RestoreBundle { back }),
        1 => Just(Event::DeleteConfiguration),
    ]
}

/// Clocks that are up to two minutes off.
fn clocks() -> impl Strategy<Value = [i64; REPLICAS]> {
    [-120_i64..=120, -120_i64..=120, -120_i64..=120]
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(prop_oneof![3 => course(), 2 => fault()], 1..60)
}

fn happens(world: &mut World, events: &[Event]) -> Result<(), String> {
    events.iter().try_for_each(|event| world.happen(event))
}

/// Faults end: the world settles, rotates, and cleans up.
fn progresses(world: &mut World) -> Result<(), String> {
    world.calm()?;
    let policy = world.policy;
    // A CA that is left over may be of any age: it and what it signed may have to end first.
    world.pass(policy.leaf_validity() * 2 + policy.clock_margin() * 2)?;
    let before = world.ledger().ok_or("no ledger")?.current().id();
    world.writes = 0;
    world.pass(policy.ca_validity())?;
    // It may be in the middle of the next rotation.
    if world.is_settled().is_err() {
        world.pass(policy.overlap() * 2)?;
        world.is_settled()?;
    }
    let ledger = world.ledger().ok_or("no ledger")?;
    if ledger.current().id() == before {
        return Err(format!("no rotation: {ledger:?}"));
    }
    let late = world.wall() - policy.clock_margin();
    if let Some(retired) = ledger.retired().iter().find(|retired| retired.until < late) {
        return Err(format!("{retired:?} is there still"));
    }
    // A rotation is two writes to the Secret and two of the bundle; retired ones end one by one.
    if world.writes > 40 {
        return Err(format!("{} writes", world.writes));
    }
    Ok(())
}

fn told(world: &World, outcome: Result<(), String>) -> Result<(), TestCaseError> {
    outcome.map_err(|reason| {
        let trace = world.trace.join("\n");
        TestCaseError::fail(format!("{reason}\n{trace}"))
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_api_server_meets_a_leaf_that_it_does_not_trust_and_the_rotation_goes_on(
        clocks in clocks(),
        events in history(),
    ) {
        let mut world = World::new(clocks);
        for replica in 0..REPLICAS {
            world.happen(&Event::Start { replica }).unwrap();
        }
        let outcome = happens(&mut world, &events).and_then(|()| progresses(&mut world));
        told(&world, outcome)?;
    }

    #[test]
    fn replicas_that_start_together_make_one_ca(
        clocks in clocks(),
        events in prop::collection::vec(
            prop_oneof![
                4 => (replica(), 1_u8..4).prop_map(|(replica, steps)| Event::Run { replica, steps }),
                1 => (0_u64..10).prop_map(|seconds| Event::Stall { seconds }),
                1 => replica().prop_map(|replica| Event::Start { replica }),
                1 => replica().prop_map(|replica| Event::Crash { replica }),
            ],
            1..40,
        ),
    ) {
        let mut world = World::new(clocks);
        for replica in 0..REPLICAS {
            world.happen(&Event::Start { replica }).unwrap();
        }
        let outcome = happens(&mut world, &events)
            .and_then(|()| world.calm())
            .and_then(|()| world.pass(Duration::from_mins(3)))
            .and_then(|()| world.is_settled());
        told(&world, outcome)?;
        prop_assert_eq!(world.currents().len(), 1);
    }
}
