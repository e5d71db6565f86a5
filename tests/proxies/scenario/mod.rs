//! What must hold behind every load balancer, in every form.

pub(crate) mod addresses;
pub(crate) mod closed;
pub(crate) mod entrances;
pub(crate) mod failing;
pub(crate) mod forged;
pub(crate) mod people;
pub(crate) mod signing_in;
pub(crate) mod traffic;

/// All of it, behind one load balancer: `behind!(Nginx)`. Each test is of the forms that it says
/// something about, and of no other.
macro_rules! behind {
    ($balancer:ident) => {
        mod through {
            use $crate::{scenario::*, stand::Form};
            $crate::scenario::behind! { @everywhere super::$balancer, Form::Through }
            $crate::scenario::behind! { @where_the_gate_judges super::$balancer, Form::Through }
        }
        mod forward_auth {
            use $crate::{scenario::*, stand::Form};
            $crate::scenario::behind! { @everywhere super::$balancer, Form::ForwardAuth }
            $crate::scenario::behind! { @where_the_gate_judges super::$balancer, Form::ForwardAuth }
            $crate::scenario::behind! { @where_the_gate_is_asked super::$balancer, Form::ForwardAuth }
        }
        mod links {
            use $crate::{scenario::*, stand::Form};
            $crate::scenario::behind! { @everywhere super::$balancer, Form::Links }
            $crate::scenario::behind! { @where_the_application_judges super::$balancer, Form::Links }
        }
    };
    (@everywhere $balancer:ty, $form:expr) => {
        $crate::scenario::behind! { @tests $balancer, $form;
            signing_in::nobody_is_shown_anything,
            signing_in::a_link_signs_in_once,
            signing_in::a_link_on_a_page_lands_there_without_it,
            signing_in::whoever_logs_out_is_out,
            signing_in::a_long_name_arrives_whole,
            people::a_browser_goes_through_a_link_once,
            forged::identity_headers_never_reach_the_application,
            forged::nor_do_they_for_somebody_signed_in,
            forged::nor_does_what_stands_in_trailers,
            forged::nobody_gets_in_under_another_name_of_the_site,
            closed::checks_are_closed_to_visitors_in_every_spelling,
            closed::a_token_in_the_wrong_place_is_not_logged_either,
            addresses::the_application_is_told_the_visitors_own,
            addresses::a_bound_link_works_from_there_alone,
            traffic::what_is_posted_arrives,
            traffic::head_has_no_body,
            traffic::a_websocket_talks,
            traffic::nobody_upgrades_to_http_itself,
            traffic::a_large_answer_passes_in_little_memory,
            failing::without_the_gate_all_is_closed,
            failing::without_the_application_somebody_says_so,
            entrances::over_http2_nothing_is_different,
            entrances::plain_http_leads_to_https,
            entrances::another_host_leads_nowhere,
            entrances::parameters_are_not_logged,
            entrances::the_keys_are_where_applications_look,
        }
    };
    (@where_the_gate_judges $balancer:ty, $form:expr) => {
        $crate::scenario::behind! { @tests $balancer, $form;
            signing_in::a_script_is_told_and_not_sent_anywhere,
            traffic::another_sites_page_opens_no_websocket,
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn where_there_is_a_page_to_sign_in_at_people_are_sent_there() {
            let change = signing_in::with_a_page_to_sign_in_at;
            if let Some(mut stand) = $crate::stand::Stand::with::<$balancer>($form, change).await {
                signing_in::people_are_sent_to_sign_in(&mut stand).await;
                stand.logs_hold_no_secret().await;
            }
        }
    };
    (@where_the_gate_is_asked $balancer:ty, $form:expr) => {
        $crate::scenario::behind! { @tests $balancer, $form;
            failing::a_gate_that_hangs_lets_nobody_in,
        }
    };
    (@where_the_application_judges $balancer:ty, $form:expr) => {
        $crate::scenario::behind! { @tests $balancer, $form;
            forged::a_callback_is_not_a_visitors_to_make,
        }
    };
    (@tests $balancer:ty, $form:expr; $($room:ident :: $test:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(mut stand) = $crate::stand::Stand::start::<$balancer>($form).await {
                    $room::$test(&mut stand).await;
                    stand.logs_hold_no_secret().await;
                }
            }
        )*
    };
}
pub(crate) use behind;
