//! The page in a real browser.

use rustix::process::Signal;

use super::browser::Browser;
use super::{Fe, write_list};
use crate::bed::{Bed, Dashboard, PRODUCT, Redis, until};
use crate::leadership::{pair_on_directory, until_leads};

#[tokio::test(flavor = "multi_thread")]
async fn problems_come_first_and_a_promotion_is_previewed() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    dashboard.give(0..=1022, 1).await;
    let list = bed.path("list.json");
    write_list(
        &list,
        &[(PRODUCT, &dashboard.addr), ("other", "127.0.0.1:1")],
    );
    let fe = Fe::on_file(&bed, &list).await;
    let mut page = Browser::open(&bed, &format!("http://{}/", fe.addr)).await;

    page.until(
        "both products are listed",
        "[...document.querySelectorAll('#products a')].map((a) => a.textContent).join() \
         === 'demo,other'",
    )
    .await;
    page.click("#products a", PRODUCT).await;
    page.until(
        "the overview is shown",
        "document.querySelector('.tiles') !== null",
    )
    .await;
    let first = page
        .eval("document.querySelector('nav.tabs').nextElementSibling.className")
        .await;
    assert_eq!(first, "problems", "before all figures");
    let problems = page.text("ul.problems").await;
    assert!(
        problems.contains("1 of 1024 slots are offline"),
        "{problems}"
    );
    assert!(page.text("#main").await.contains(&dashboard.addr));

    refused_where_it_was_asked_for(&mut page).await;
    promoted_after_a_preview(&mut page, &dashboard, &servers).await;
    stale_figures_are_told_with_their_age(&mut page, &servers[0]).await;
    page.check();
}

async fn refused_where_it_was_asked_for(page: &mut Browser) {
    page.click("nav.tabs a", "groups").await;
    page.click("#main button", "New group").await;
    page.eval(
        "(() => { const field = document.querySelector('#dialog input'); field.value = '1'; \
         field.dispatchEvent(new Event('input')); })()",
    )
    .await;
    page.click("#dialog button", "OK").await;
    page.until(
        "the refusal is shown",
        "document.querySelector('#dialog [role=alert]').textContent === \
         'group-[1] already exists'",
    )
    .await;
    page.click("#dialog button", "Cancel").await;
}

/// The effect and the equal command come before the act.
async fn promoted_after_a_preview(page: &mut Browser, dashboard: &Dashboard, servers: &[Redis]) {
    page.click("#main button", "PROMOTE").await;
    let [old, new] = [&servers[0].addr, &servers[1].addr];
    let preview = page.text("#dialog").await;
    for line in [
        format!("{new} becomes the master of group-1 in place of {old}."),
        format!(
            "codis-admin --dashboard={} --promote-server --gid=1 --addr={new}",
            dashboard.addr
        ),
    ] {
        assert!(preview.contains(&line), "{preview}");
    }
    assert_eq!(
        dashboard.order(1).await[0],
        *old,
        "nothing is done by looking"
    );
    page.click("#dialog button", "JUST DO IT").await;
    until("the replica is the master", async || {
        dashboard.order(1).await[0] == *new
            && servers[1].info("role").await.as_deref() == Some("master")
    })
    .await;
    let leads = format!(
        "document.querySelector('#main section tbody tr').innerText.includes('{new}') \
         && !document.getElementById('dialog').open"
    );
    page.until("the page shows the new master", &leads).await;
    page.click("nav.tabs a", "history").await;
    let told =
        format!("document.getElementById('main').innerText.includes('group/promote/1/{new}')");
    page.until("the history tells of it", &told).await;
}

/// A server that hangs is shown as it was, and since when.
async fn stale_figures_are_told_with_their_age(page: &mut Browser, server: &Redis) {
    server.process.signal(Signal::STOP);
    page.click("nav.tabs a", "groups").await;
    let told = format!(
        "[...document.querySelectorAll('#main tr')].some((row) => \
         row.innerText.includes('{}') && /\\(\\d+ s old\\)/.test(row.innerText))",
        server.addr
    );
    page.until("the age of its figures is shown", &told).await;
    server.process.signal(Signal::CONT);
    page.until("it is well again", &format!("!({told})")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_goes_on_with_a_standby_when_the_leader_dies() {
    let (boards, mut leader, standby) = pair_on_directory().await;
    let bed = &boards.bed;
    leader.put("group/create/X/7").await;
    let flag = format!("--filesystem={}", bed.path("store").display());
    let fe = Fe::start(bed, &[&flag]).await;
    let mut page = Browser::open(bed, &format!("http://{}/#demo", fe.addr)).await;
    let shows = |text: &str| {
        format!("document.getElementById('main')?.innerText.includes('{text}') === true")
    };
    page.until("the leader is shown", &shows(&leader.addr))
        .await;
    // Every second, so that the page is soon told.
    page.eval(
        "(() => { const every = document.getElementById('interval'); every.value = 1; \
         every.dispatchEvent(new Event('input')); })()",
    )
    .await;
    // The standby waits, so that nobody leads for as long as the page needs to show it.
    standby.process.signal(Signal::STOP);
    leader.process.kill();
    page.until("that nobody answers is told", &shows("cannot be read"))
        .await;
    standby.process.signal(Signal::CONT);
    until_leads(&standby).await;
    page.until("the standby is shown", &shows(&standby.addr))
        .await;
    page.until(
        "nothing is said to be wrong with it",
        "!document.getElementById('main').innerText.includes('cannot be read')",
    )
    .await;
    page.click("nav.tabs a", "groups").await;
    page.until("the group is still there", &shows("group-7"))
        .await;
    page.check();
}
