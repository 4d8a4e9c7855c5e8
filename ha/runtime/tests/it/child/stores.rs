//! Processes that use a store together. The argument is `kind addr session_ms name rounds`.

use std::time::{Duration, Instant};

use codis_runtime::coordinator::{self, Error, Expected, Guard, Shared, Takeover, Write};

struct Role {
    store: Shared,
    name: String,
    rounds: usize,
}

async fn role() -> Role {
    let argument = super::argument();
    let words: Vec<&str> = argument.split(' ').collect();
    let [kind, addr, session, name, rounds] = words[..] else {
        panic!("{argument}");
    };
    let session = Duration::from_millis(session.parse().unwrap());
    let store = coordinator::open_with(kind, addr, "", session).await;
    Role {
        store: store.unwrap(),
        name: name.to_owned(),
        rounds: rounds.parse().unwrap(),
    }
}

/// Adds one to the number in `path`, as often as others get in between.
pub async fn increment(store: &Shared, path: &str) -> Result<(), Error> {
    loop {
        let held = store.read(path).await?;
        let count: u64 = match &held {
            Some(text) => String::from_utf8_lossy(text).parse().unwrap(),
            None => 0,
        };
        let expected = held.as_deref().map_or(Expected::Missing, Expected::Value);
        let next = (count + 1).to_string();
        match store
            .write_if(path, expected, Some(next.as_bytes()), &[])
            .await
        {
            Err(Error::Changed { .. } | Error::Exists { .. }) => {}
            outcome => return outcome,
        }
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn counts() {
    let role = role().await;
    for _ in 0..role.rounds {
        increment(&role.store, "/count").await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn writes_its_own() {
    let Role {
        store,
        name,
        rounds,
    } = role().await;
    let path = format!("/codis3/p/proxy/{name}");
    store.create(&path, b"0").await.unwrap();
    for round in 1..=rounds {
        let value = round.to_string();
        store.update(&path, value.as_bytes()).await.unwrap();
        let held = store.read(&path).await.unwrap();
        assert_eq!(held, Some(value.into_bytes()));
    }
}

/// Three records that are to hold the same.
pub fn alike(value: &[u8]) -> [Write<'_>; 3] {
    ["/t/a", "/t/b", "/t/c"].map(|path| Write {
        path,
        expected: Expected::Anything,
        value: Some(value),
    })
}

/// Makes three records hold the same, again and again.
#[tokio::test]
#[ignore = "a child process of another test"]
async fn commits_until_killed() {
    let Role { store, name, .. } = role().await;
    println!("writing");
    for round in 0_u64.. {
        let value = format!("{name} {round}").into_bytes();
        store.commit(&alike(&value), &[]).await.unwrap();
    }
}

/// The same for as long as `/fence` holds its name.
#[tokio::test]
#[ignore = "a child process of another test"]
async fn commits_until_fenced() {
    let Role { store, name, .. } = role().await;
    store.update("/fence", name.as_bytes()).await.unwrap();
    let guards = [Guard {
        path: "/fence",
        value: name.as_bytes(),
    }];
    println!("writing");
    for round in 0_u64.. {
        let value = format!("{name} {round}").into_bytes();
        match store.commit(&alike(&value), &guards).await {
            Ok(()) => {}
            Err(Error::Taken { .. }) => println!("taken"),
            Err(Error::Changed { path }) if path == "/fence" => break,
            Err(error) => panic!("{error}"),
        }
    }
    println!("fenced");
}

/// Leads until it is told that it does not.
#[tokio::test]
#[ignore = "a child process of another test"]
async fn leads() {
    let Role { store, name, .. } = role().await;
    let value = name.as_bytes();
    let lock = store.lock("/l", value, Takeover::Refuse).await.unwrap();
    store.update("/fence", value).await.unwrap();
    let guards = [Guard {
        path: "/fence",
        value,
    }];
    println!("leading");
    let fenced = async {
        for round in 0_u64.. {
            let seat = format!("{name} {round}").into_bytes();
            let began = Instant::now();
            let write = store.write_if("/seat", Expected::Anything, Some(&seat), &guards);
            match write.await {
                Ok(()) => {}
                Err(Error::Changed { path }) => {
                    assert_eq!(path, "/fence");
                    break;
                }
                // The store was not answered in time; the next write tells.
                Err(error) => println!("after {:?}: {error}", began.elapsed()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(lock.valid_until() <= Instant::now(), "it slept too long");
        println!("fenced");
    };
    let lost = async {
        let reason = lock.lost().await;
        assert!(lock.valid_until() <= Instant::now(), "{reason}");
        println!("lost");
    };
    tokio::join!(fenced, lost);
    lock.release().await.unwrap();
}
