//! `SENTINEL`: finding the handler of a subcommand.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::render::bulk;
use super::{
    Context, Outcome, candidates, config, debug, history, masters, monitor, queries, set, text,
};
use crate::simulate::{Simulated, Told, Unknown};

pub(super) fn run(context: &mut Context<'_>, args: &[Bytes]) -> Outcome {
    let subcommand = args
        .get(1)
        .map(|w| text(w).to_ascii_lowercase())
        .unwrap_or_default();
    let words: Vec<String> = args[2..].iter().map(text).collect();
    let first = words.first().map_or("", String::as_str);
    match subcommand.as_str() {
        "masters" => masters::masters(context),
        "master" => masters::master(context, first),
        "replicas" | "slaves" => masters::replicas(context, first),
        "sentinels" => masters::sentinels(context, first),
        "get-master-addr-by-name" => masters::address(context, first),
        "history" => history::history(context, &words),
        "topology" => masters::topology(context, &words),
        "is-master-down-by-addr" => queries::is_master_down(context, &words),
        "candidates" => candidates::candidates(context, first),
        "ckquorum" => queries::ckquorum(context, first),
        "info-cache" => queries::info_cache(context, &words),
        "pending-scripts" => queries::pending_scripts(context),
        "myid" => bulk(context.process.myid.clone()).into(),
        "monitor" => monitor::monitor(context, &words),
        "remove" => monitor::remove(context, first),
        "reset" => monitor::reset(context, first),
        "failover" => monitor::failover(context, &words),
        "flushconfig" => monitor::flush(context),
        "set" => set::run(context, &words),
        "config" => config::run(context, &words),
        "debug" => debug::run(context, &words),
        "simulate-failure" => simulate_failure(context, &words),
        _ => Value::array(HELP.lines().map(Value::simple)).into(),
    }
}

fn simulate_failure(context: &mut Context<'_>, words: &[String]) -> Outcome {
    match context.simulated.set(words) {
        Ok(Told::Done) => Value::ok().into(),
        Ok(Told::Names) => Value::array(Simulated::NAMES.map(bulk)).into(),
        Err(Unknown) => Outcome::error("ERR Unknown failure simulation specified"),
    }
}

const HELP: &str = "\
SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CANDIDATES <name>
    The replicas as candidates: who would be promoted now, and why others would not.
CKQUORUM <name>
    Tell whether the quorum and the majority for a failover can be reached.
CONFIG GET <pattern>
    Read settings of the whole sentinel.
CONFIG SET <option> <value>
    Change a setting of the whole sentinel.
DEBUG [<name> <ms> ...]
    Show the time constants, or replace some until the next start.
FAILOVER <name> [COORDINATED] [TO <ip> <port>]
    Start a failover although the master is up, to the given replica if there is one.
    COORDINATED lets the master hand over by itself, so that no write is lost.
FLUSHCONFIG
    Write the state to disk.
GET-MASTER-ADDR-BY-NAME <name>
    The address of the present master.
HELP
    This text.
HISTORY [<name>]
    The last failovers, with what happened when.
INFO-CACHE <name> [<name> ...]
    The last INFO of masters and their replicas.
IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <id>
    Whether this sentinel sees the master down; with an id, a request for its vote.
MASTER <name>
    The state of a master.
MASTERS
    The state of all masters.
MONITOR <name> <ip> <port> <quorum>
    Start to monitor a master.
MYID
    The id of this sentinel.
PENDING-SCRIPTS
    The scripts that run or wait.
REMOVE <name>
    Stop to monitor a master.
REPLICAS <name>
    The state of the replicas of a master.
RESET <pattern>
    Forget replicas and sentinels of the masters with matching names.
SENTINELS <name>
    The state of the other sentinels of a master.
SET <name> <option> <value> [<option> <value> ...]
    Change settings of a master. Option epoch-floor raises the lowest epoch it may have.
SIMULATE-FAILURE <CRASH-AFTER-ELECTION|CRASH-AFTER-PROMOTION|HELP> [...]
    End the process at that moment.
TOPOLOGY [<pattern>]
    The topology of the masters with matching names, as JSON, one each.";
