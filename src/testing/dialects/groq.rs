//! Groq: OpenAI's API, with words and waits of its own.

use http::StatusCode;

use super::{
    super::{
        answers::{Answer, go_duration, put},
        complaint::Complaint,
    },
    Refused, openai,
};

/// What can never fit is too large, unless the wait that is stated says otherwise.
pub(super) fn status(refused: &Refused<'_>) -> StatusCode {
    match (refused.refusal.wait, refused.said) {
        (None, None) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    }
}

pub(super) fn refused(refused: &Refused<'_>) -> Answer {
    let refusal = refused.refusal;
    let (limit, used, asked) = (refusal.limit, refusal.used, refusal.asked);
    let (model, organization) = (refused.model, refused.organization);
    let on = refusal.kind.text().replace("per min (", "per minute (");
    let more =
        "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing";
    let message = match (refusal.wait, refused.said) {
        (None, None) => format!(
            "Request too large for model `{model}` in organization `{organization}` service \
                 tier `on_demand` on {on}: Limit {limit}, Requested {asked}, please reduce your \
                 message size and try again. {more}"
        ),
        (_, said) => {
            let hint = said.map_or(String::new(), |wait| {
                format!(" Please try again in {}.", go_duration(wait))
            });
            format!(
                "Rate limit reached for model `{model}` in organization `{organization}` \
                     service tier `on_demand` on {on}: Limit {limit}, Used {used}, Requested \
                     {asked}.{hint} {more}"
            )
        }
    };
    let mut complaint = Complaint::limit(refusal.kind.resource(), message);
    complaint.status = status(refused);
    let mut answer = openai::complain(&complaint);
    if let Some(wait) = refused.said {
        // To the hundredth of a second, rounded up.
        let hundredths = wait.as_nanos().div_ceil(10_000_000);
        let (whole, part) = (hundredths / 100, hundredths % 100);
        let text = format!("{whole}.{part:02}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        put(answer.headers_mut(), "retry-after", text);
    }
    answer
}
