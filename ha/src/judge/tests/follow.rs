//! Which servers are made to follow again, and which are left with their data.

use super::*;

#[test]
fn an_old_master_follows_again() {
    let mut bed = Bed::new();
    bed.look();
    // It died and `a` was promoted; then it comes back, alone, with its data.
    bed.stats.group.models[0] = group(1, &["a", "b", "m"]);
    bed.poll("a", LEADS);
    bed.follows("b", "a", "up", &[]);
    bed.fail("m");
    assert_eq!(bed.looks(5).act, None);
    bed.poll("m", LEADS);
    assert_eq!(bed.looks(SAMPLES_MIN - 1).act, None);
    assert_eq!(bed.look().act, reattach("m"));
    bed.follows("m", "a", "down", &[]);
    assert_eq!(
        bed.looks(9),
        Judgement::default(),
        "a link that is down is waited for"
    );
}

#[test]
fn a_stray_replica_follows_again() {
    let mut bed = Bed::new();
    bed.look();
    bed.follows("b", "x", "up", &[]);
    assert_eq!(bed.acts(SAMPLES_MIN), [reattach("b").unwrap()]);
}

#[test]
fn data_that_is_not_known_to_be_of_the_group_is_kept() {
    // Nobody saw `b` follow: a server that was just added, say.
    let mut bed = Bed::new();
    bed.poll("b", LEADS);
    let judgement = bed.looks(5);
    assert_eq!(judgement.act, None);
    assert!(judgement.why_not[0].contains("--sync-action --create --addr=b"));
    bed.poll("b", &[("role", "master")]);
    assert_eq!(bed.look().act, reattach("b"), "an empty one loses nothing");
    // A master that lost everything is no source.
    let mut bed = Bed::new();
    bed.look();
    bed.poll("m", &[("role", "master")]);
    bed.poll("b", LEADS);
    let judgement = bed.looks(5);
    assert_eq!(judgement.act, None);
    assert!(judgement.why_not[0].contains("its master holds none"));
}

#[test]
fn doubts_keep_a_stray_where_it_is() {
    type Change = fn(&mut Bed);
    let changes: &[(&str, Change)] = &[
        ("the group is promoting", |bed| {
            bed.stats.group.models[0].promoting.state = ActionState::Preparing;
        }),
        ("being told", |bed| {
            bed.server(0, 2).action.state = ActionState::Pending
        }),
        ("being told", |bed| {
            bed.server(0, 2).action.state = ActionState::Syncing
        }),
        ("not seen as one", |bed| bed.follows("m", "x", "up", &[])),
    ];
    for (reason, change) in changes {
        let mut bed = Bed::new();
        bed.look();
        bed.poll("b", LEADS);
        change(&mut bed);
        let judgement = bed.looks(5);
        assert_eq!(judgement.act, None, "{reason}");
        let told = judgement.why_not.join("\n");
        assert!(told.contains(reason), "{reason}: {told}");
    }
}
