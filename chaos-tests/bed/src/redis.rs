//! Commands to Redis servers and sentinels.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, RedisResult, Value, from_redis_value};

/// One command on a connection of its own.
pub async fn call(addr: &str, words: &[&str]) -> RedisResult<Value> {
    let client = Client::open(format!("redis://{addr}"))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_response_timeout(Some(Duration::from_secs(10)));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

/// One field of `INFO`.
pub async fn info(addr: &str, field: &str) -> Option<String> {
    let text: String = from_redis_value(call(addr, &["INFO"]).await.ok()?).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(name, _)| *name == field)
        .map(|(_, value)| value.trim().to_owned())
}
