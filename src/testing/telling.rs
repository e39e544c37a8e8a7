//! How a decision becomes an answer; outside of the lock.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, header};

use super::{
    Call, Hint, Stream, StreamFault,
    accounts::{Reading, Refusal},
    answers::{Answer, Stamp, put, seconds},
    call::Endpoint,
    complaint::Complaint,
    dialects::{Refused, Told, write_headers},
    dice::Dice,
    reply::Fate,
    script::{Break, Script, Tale, Telling},
    settings::Settings,
    state::Plan,
};

/// What was known when a request was decided about.
pub(super) struct Teller<'a> {
    pub(super) settings: &'a Settings,
    pub(super) call: Option<&'a Call>,
    pub(super) pool: usize,
    pub(super) stamp: Stamp,
    pub(super) hint: Hint,
    pub(super) stream: Stream,
    pub(super) readings: Vec<Reading>,
    pub(super) reserved: u64,
    /// For what is drawn while a stream is told.
    pub(super) dice: Dice,
}

impl Teller<'_> {
    /// The status that the caller sees.
    pub(super) fn status(&self, plan: &Plan) -> Option<u16> {
        match plan {
            Plan::Limited(_) if self.refuses_in_stream() => Some(200),
            Plan::Limited(refusal) => {
                let status = self.settings.dialect.refusal_status(&self.refused(refusal));
                Some(status.as_u16())
            }
            plan => plan.status(),
        }
    }

    fn refuses_in_stream(&self) -> bool {
        let streamed = |call: &Call| call.endpoint == Endpoint::Responses { stream: true };
        self.settings.refuse_in_stream && self.call.is_some_and(streamed)
    }

    fn said(&self, wait: Option<Duration>) -> Option<Duration> {
        match self.hint {
            Hint::Exact => wait,
            Hint::Silent => None,
            Hint::Lie(lie) => Some(lie),
        }
    }

    fn refused<'a>(&'a self, refusal: &'a Refusal) -> Refused<'a> {
        Refused {
            refusal,
            said: self.said(refusal.wait),
            model: self.call.map_or("", |call| &*call.model),
            pool: self.settings.pool_name(self.pool),
            organization: &self.settings.organization,
            stamp: self.stamp,
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        self.settings.dialect.refused(&self.refused(refusal))
    }

    fn headers(&self, headers: &mut HeaderMap) {
        let settings = self.settings;
        settings
            .dialect
            .common_headers(headers, self.stamp, &settings.organization);
        let (spelling, cost) = (settings.rate_headers, self.reserved);
        write_headers(spelling, headers, &self.readings, self.stamp, cost);
    }

    pub(super) fn fate(self, plan: Plan) -> Fate {
        let (settings, stamp) = (self.settings, self.stamp);
        let dialect = settings.dialect;
        let model = self.call.map_or("", |call| &*call.model);
        let mut answer = match (plan, self.call) {
            (Plan::HangUp, _) => return Fate::HangUp,
            (Plan::Stall(time), _) => return Fate::Stall(time),
            (Plan::Script(answer), _) => return Fate::Answer(answer),
            (Plan::Run(answer), _) => answer,
            (Plan::Say(complaint), _) => dialect.complain(complaint, stamp),
            (Plan::Broke, _) => dialect.out_of_money(model, stamp),
            (Plan::List(names), _) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                dialect.models(&names, stamp)
            }
            (Plan::Limited(refusal), Some(call)) if self.refuses_in_stream() => {
                let refused = self.refused(&refusal);
                let tale = dialect.refused_in_stream(call, &refused, &self.stream);
                let said = refused.said;
                // All that it has to say, and no piece of an answer.
                let nothing = Some(Break {
                    pieces: 0,
                    last: tale.closing.clone(),
                    cut: false,
                });
                return self.tell(call, tale, 0, nothing, said);
            }
            (Plan::Limited(refusal), _) => self.refuse(&refusal),
            (Plan::Serve(spent, broken), Some(call)) => {
                match dialect.served(call, spent, stamp, settings, &self.stream) {
                    Told::Whole(answer) => answer,
                    Told::Parts(tale) => {
                        let ahead = match broken {
                            Some((StreamFault::RateLimited(wait), 0)) => Some(wait),
                            _ => None,
                        };
                        let ahead =
                            ahead.filter(|_| matches!(call.endpoint, Endpoint::Responses { .. }));
                        let broken = broken.map(|(fault, pieces)| Break {
                            pieces,
                            last: dialect.last_words(call, fault, pieces, stamp),
                            cut: fault == StreamFault::BreakOff,
                        });
                        return self.tell(call, tale, spent.completion, broken, ahead);
                    }
                }
            }
            (Plan::Errand, _) | (Plan::Serve(..), None) => {
                dialect.complain(Complaint::no_model(), stamp)
            }
        };
        self.headers(answer.headers_mut());
        Fate::Answer(answer)
    }

    /// A stream, with the wait that stands beside its 200.
    fn tell(
        self,
        call: &Call,
        tale: Tale,
        completion: u64,
        breaks: Option<Break>,
        ahead: Option<Duration>,
    ) -> Fate {
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::OK;
        let headers = head.headers_mut();
        put(headers, header::CONTENT_TYPE.as_str(), tale.kind);
        self.headers(headers);
        if let Some(wait) = ahead {
            put(headers, "retry-after", seconds(wait));
        }
        let telling = Telling {
            stream: self.stream,
            echo: call.echo.clone(),
            choices: call.choices,
            completion,
            breaks,
            dice: self.dice,
        };
        Fate::Stream(head, Box::new(Script::new(tale, telling)))
    }
}
