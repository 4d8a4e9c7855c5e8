//! Every interleaving of three processes that enter the store, sleep, die, and take it from each
//! other: at no moment may two of them change something.
//!
//! A step here is one system call there. That somebody has waited for long enough is not asked:
//! whoever waits may think so at any time, so nothing depends on clocks.

use std::collections::{HashMap, VecDeque};

const PROCESSES: usize = 3;
/// How often each enters at most, and all together; and how many die. With twice as many entries it
/// takes half a minute, and finds no more.
const ENTRIES: u8 = 2;
const ENTRIES_OF_ALL: u8 = 3;
const DEATHS: u8 = 1;

/// A file that is or was `data.lck`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct File {
    locked_by: Option<usize>,
    note: Option<Note>,
}

/// Who signed, with which desk, and for the how many-th time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Note {
    who: usize,
    desk: u8,
    entry: u8,
}

/// Where a process is. Files are named by their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum At {
    #[default]
    Outside,
    Opened(usize),
    Locked(usize),
    Signed(usize),
    /// Nobody had `takeover.lck`.
    Unhindered(usize),
    Inside(usize),
    /// It has emptied the note, and has not unlocked yet.
    Leaving(usize),
    /// What it saw when it could not enter.
    Watching(usize, Note),
    /// It has `takeover.lck`.
    Alone(usize, Note),
    /// The same file is in its place.
    SameFile(Note),
    /// With the same note.
    SameNote(Note),
    /// The desk was moved away.
    Moved,
    /// Its own locked file is in the place of the other; it has `takeover.lck` yet.
    Replaced(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    entries: u8,
    desk: u8,
    /// Whether its desk was moved away.
    fenced: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    files: Vec<File>,
    /// Which of them is `data.lck`.
    place: usize,
    takeover: Option<usize>,
    processes: [Process; PROCESSES],
    deaths: u8,
}

/// A part of the protocol that is left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    Fence,
    SecondLook,
    LookAtPlace,
    LookAtTakeover,
    LockOfTakeover,
}

impl World {
    fn new() -> Self {
        Self {
            files: vec![File::default()],
            place: 0,
            takeover: None,
            processes: Default::default(),
            deaths: 0,
        }
    }

    /// Whether a change that the process would make now is made.
    fn can_change(&self, who: usize) -> bool {
        let Process { at, fenced, .. } = self.processes[who];
        !fenced && matches!(at, At::Inside(_) | At::Replaced(_))
    }

    fn may_enter(&self, who: usize) -> bool {
        let of_all: u8 = self.processes.iter().map(|process| process.entries).sum();
        self.processes[who].entries < ENTRIES && of_all < ENTRIES_OF_ALL
    }

    fn with(&self, who: usize, at: At) -> Self {
        let mut next = self.clone();
        next.processes[who].at = at;
        next
    }

    /// What the world can be after one step of one process.
    fn steps(&self, who: usize, without: Without) -> Vec<Self> {
        let process = self.processes[who];
        let mut all = match process.at {
            At::Outside if self.may_enter(who) => {
                vec![self.with(who, At::Opened(self.place))]
            }
            At::Outside => return Vec::new(),
            At::Opened(file) => vec![self.locks(who, file)],
            At::Locked(file) => vec![self.signs(who, file)],
            At::Signed(file) if self.takeover.is_none() || without == Without::LookAtTakeover => {
                vec![self.with(who, At::Unhindered(file))]
            }
            At::Unhindered(file) if file == self.place || without == Without::LookAtPlace => {
                vec![self.with(who, At::Inside(file))]
            }
            At::Signed(file) | At::Unhindered(file) | At::Leaving(file) => {
                vec![self.unlocks(who, file)]
            }
            At::Inside(file) => vec![self.empties(who, file)],
            At::Watching(file, note) => self.begins_takeover(who, file, note, without),
            At::Alone(file, note) => vec![match file == self.place {
                true => self.with(who, At::SameFile(note)),
                false => self.gives_up(who),
            }],
            At::SameFile(note) => {
                let same = self.files[self.place].note == Some(note);
                vec![match same || without == Without::SecondLook {
                    true => self.with(who, At::SameNote(note)),
                    false => self.gives_up(who),
                }]
            }
            At::SameNote(note) => vec![self.moves_desk(who, note, without)],
            At::Moved => vec![self.replaces(who)],
            At::Replaced(file) => {
                let mut next = self.with(who, At::Inside(file));
                next.takeover = None;
                vec![next]
            }
        };
        if self.deaths < DEATHS {
            all.push(self.dies(who));
        }
        all
    }

    /// `flock`, or a look at who has it.
    fn locks(&self, who: usize, file: usize) -> Self {
        if self.files[file].locked_by.is_none() {
            let mut next = self.with(who, At::Locked(file));
            next.files[file].locked_by = Some(who);
            return next;
        }
        let seen = self.files[self.place].note;
        let at = seen.map_or(At::Outside, |note| At::Watching(self.place, note));
        self.with(who, at)
    }

    fn signs(&self, who: usize, file: usize) -> Self {
        let mut next = self.with(who, At::Signed(file));
        let process = &mut next.processes[who];
        process.entries += 1;
        if process.fenced {
            process.desk += 1;
            process.fenced = false;
        }
        next.files[file].note = Some(Note {
            who,
            desk: process.desk,
            entry: process.entries,
        });
        next
    }

    fn empties(&self, who: usize, file: usize) -> Self {
        let mut next = self.with(who, At::Leaving(file));
        next.files[file].note = None;
        next
    }

    fn unlocks(&self, who: usize, file: usize) -> Self {
        let mut next = self.with(who, At::Outside);
        next.files[file].note = None;
        next.files[file].locked_by = None;
        next
    }

    /// Looks once more from the beginning, or thinks that it has waited for long enough.
    fn begins_takeover(&self, who: usize, file: usize, note: Note, without: Without) -> Vec<Self> {
        let mut all = vec![self.with(who, At::Outside)];
        let is_free = self.takeover.is_none() || without == Without::LockOfTakeover;
        if is_free && self.may_enter(who) {
            let mut next = self.with(who, At::Alone(file, note));
            next.takeover = Some(who);
            all.push(next);
        }
        all
    }

    fn gives_up(&self, who: usize) -> Self {
        let mut next = self.with(who, At::Outside);
        next.takeover = None;
        next
    }

    fn moves_desk(&self, who: usize, note: Note, without: Without) -> Self {
        let mut next = self.with(who, At::Moved);
        let owner = &mut next.processes[note.who];
        if owner.desk == note.desk && without != Without::Fence {
            owner.fenced = true;
        }
        next
    }

    fn replaces(&self, who: usize) -> Self {
        let fresh = self.files.len();
        let mut next = self.with(who, At::Replaced(fresh));
        let process = &mut next.processes[who];
        process.entries += 1;
        if process.fenced {
            process.desk += 1;
            process.fenced = false;
        }
        let note = Some(Note {
            who,
            desk: process.desk,
            entry: process.entries,
        });
        next.files.push(File {
            locked_by: Some(who),
            note,
        });
        next.place = fresh;
        next
    }

    /// The kernel unlocks what it had; the notes stay. Another one is started in its place.
    fn dies(&self, who: usize) -> Self {
        let mut next = self.with(who, At::Outside);
        next.deaths += 1;
        next.processes[who].desk += 10;
        next.processes[who].fenced = false;
        for file in &mut next.files {
            file.locked_by = file.locked_by.filter(|by| *by != who);
        }
        next.takeover = next.takeover.filter(|by| *by != who);
        next
    }
}

/// Looks at every world that can come to be, the near ones first; gives how many, or the shortest
/// way to one in which two could write.
fn explore(without: Without) -> Result<usize, Vec<World>> {
    let mut from: HashMap<World, Option<World>> = HashMap::from([(World::new(), None)]);
    let mut open = VecDeque::from([World::new()]);
    while let Some(world) = open.pop_front() {
        if (0..PROCESSES).filter(|who| world.can_change(*who)).count() > 1 {
            let back = |world: &World| from[world].clone();
            let mut way: Vec<_> = std::iter::successors(Some(world), back).collect();
            way.reverse();
            return Err(way);
        }
        for next in (0..PROCESSES).flat_map(|who| world.steps(who, without)) {
            if !from.contains_key(&next) {
                from.insert(next.clone(), Some(world.clone()));
                open.push_back(next);
            }
        }
    }
    Ok(from.len())
}

#[test]
fn no_two_processes_change_anything_at_the_same_time() {
    let worlds = explore(Without::Nothing).unwrap_or_else(|way| {
        way.iter().for_each(|world| println!("{world:?}"));
        panic!("two can write after {} steps", way.len());
    });
    assert!(worlds > 10_000, "{worlds}");
}

#[test]
fn each_part_of_the_protocol_is_needed() {
    for without in [
        Without::Fence,
        Without::SecondLook,
        Without::LookAtPlace,
        Without::LookAtTakeover,
        Without::LockOfTakeover,
    ] {
        assert!(explore(without).is_err(), "{without:?}");
    }
}
