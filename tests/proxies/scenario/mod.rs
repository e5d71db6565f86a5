//! What must hold behind every load balancer, in every form.

pub(crate) mod addresses;
pub(crate) mod closed;
pub(crate) mod entrances;
pub(crate) mod failing;
pub(crate) mod forged;
pub(crate) mod people;
pub(crate) mod signing_in;
pub(crate) mod traffic;

/// All of it, behind one load balancer in one form: `behind!(through, Nginx, Form::Through)`.
macro_rules! behind {
    ($name:ident, $balancer:ty, $form:expr) => {
        mod $name {
            use super::*;
            use $crate::scenario::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn where_there_is_a_page_to_sign_in_at_people_are_sent_there() {
                let change = signing_in::with_a_page_to_sign_in_at($form);
                if let Some(mut stand) = $crate::stand::Stand::with::<$balancer>($form, change).await
                {
                    signing_in::people_are_sent_to_sign_in(&mut stand).await;
                    stand.logs_hold_no_secret().await;
                }
            }

            $crate::scenario::behind! { @tests $balancer, $form;
                signing_in::nobody_is_shown_anything,
                signing_in::a_link_signs_in_once,
                signing_in::a_link_on_a_page_lands_there_without_it,
                signing_in::a_script_is_told_and_not_sent_anywhere,
                signing_in::whoever_logs_out_is_out,
                signing_in::a_long_name_arrives_whole,
                people::a_browser_goes_through_a_link_once,
                forged::identity_headers_never_reach_the_application,
                forged::nor_do_they_for_somebody_signed_in,
                forged::nor_does_what_stands_in_trailers,
                forged::nobody_gets_in_under_another_name_of_the_site,
                forged::a_callback_is_not_a_visitors_to_make,
                closed::checks_are_closed_to_visitors_in_every_spelling,
                closed::a_token_in_the_wrong_place_is_not_logged_either,
                addresses::the_application_is_told_the_visitors_own,
                addresses::a_bound_link_works_from_there_alone,
                traffic::what_is_posted_arrives,
                traffic::head_has_no_body,
                traffic::a_websocket_talks,
                traffic::a_gigabyte_passes_in_little_memory,
                failing::without_the_gate_all_is_closed,
                failing::without_the_application_somebody_says_so,
                failing::a_gate_that_hangs_lets_nobody_in,
                entrances::over_http2_nothing_is_different,
                entrances::plain_http_leads_to_https,
                entrances::another_host_leads_nowhere,
                entrances::parameters_are_not_logged,
            }
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
