//! Requests that went to the event loop without a wait for the answers before them.
//!
//! A peer asks for votes about many masters at once, and each vote waits for the disk. Asked one
//! after the other they would cost a write each, and the PINGs behind them would come too late. So
//! the requests of a peer go ahead together; their answers keep their order.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::port::Answer;

/// Answers that may be outstanding.
pub const LEN_MAX: usize = 1024;

/// What a peer sends all the time, and what neither changes nor depends on the session.
const QUICK: &[&str] = &["ping", "publish", "sentinel|is-master-down-by-addr"];

/// Whether a command may go ahead.
pub fn may(command: &str) -> bool {
    QUICK.contains(&command)
}

/// Answers in the order of their requests.
#[derive(Debug, Default)]
pub struct Ahead(VecDeque<Pending>);

#[derive(Debug)]
enum Pending {
    Ready(Answer),
    Waiting(oneshot::Receiver<Answer>),
}

impl Ahead {
    /// Answers that are outstanding.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts an answer behind those that are outstanding.
    pub fn push(&mut self, answer: Answer) {
        self.0.push_back(Pending::Ready(answer));
    }

    /// Waits for an answer behind those that are outstanding.
    pub fn wait_for(&mut self, answer: oneshot::Receiver<Answer>) {
        self.0.push_back(Pending::Waiting(answer));
    }

    /// The next answer; for ever when none is outstanding. Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Answer {
        let answer = match self.0.front_mut() {
            None => std::future::pending().await,
            Some(Pending::Ready(_)) => None,
            Some(Pending::Waiting(answer)) => Some(answer.await),
        };
        match (self.0.pop_front(), answer) {
            (Some(Pending::Ready(answer)), _) | (_, Some(Ok(answer))) => answer,
            // The loop has ended, and with it the process soon.
            _ => Answer::closing(),
        }
    }

    /// The next answer, when it is there.
    pub fn try_next(&mut self) -> Option<Answer> {
        let answer = match self.0.front_mut()? {
            Pending::Ready(_) => None,
            Pending::Waiting(answer) => match answer.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return None,
                answered => Some(answered.unwrap_or_else(|_| Answer::closing())),
            },
        };
        match (self.0.pop_front(), answer) {
            (Some(Pending::Ready(answer)), _) | (_, Some(answer)) => Some(answer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use codis_core::resp::Value;

    use super::*;

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_requests() {
        let mut ahead = Ahead::default();
        let (first, waits) = oneshot::channel();
        ahead.wait_for(waits);
        ahead.push(Value::Integer(2).into());
        assert!(ahead.try_next().is_none(), "the first has no answer yet");
        first.send(Value::Integer(1).into()).unwrap();
        assert_eq!(ahead.next().await.values, [Value::Integer(1)]);
        assert_eq!(ahead.try_next().unwrap().values, [Value::Integer(2)]);
        assert!(ahead.is_empty() && ahead.try_next().is_none());
    }

    #[tokio::test]
    async fn a_loop_that_ended_closes_the_session() {
        let mut ahead = Ahead::default();
        ahead.wait_for(oneshot::channel().1);
        assert!(ahead.next().await.closing);
    }
}
