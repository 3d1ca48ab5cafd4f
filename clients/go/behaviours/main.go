// Command behaviours runs the live behaviours of docs/clients.md against a real gateway: those named in its arguments,
// or all. It prints one line of JSON for each. The exit code is 0 if all passed, 1 if one failed, and 2 for an unknown
// name.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// patience is the timeout of one behaviour. Passing behaviours stay far below it.
const patience = 90 * time.Second

type behaviour struct {
	name    string
	perform func(*trial)
}

var behaviours = []behaviour{
	{"submit", submit},
	{"submit_replay", submitReplay},
	{"submit_key_reused", submitKeyReused},
	{"submit_over_cut_connection", submitOverCutConnection},
	{"submit_endpoint", submitEndpoint},
	{"submit_invalid", submitInvalid},
	{"submit_refused", submitRefused},
	{"submit_out_of_credits", submitOutOfCredits},
	{"submit_model_unknown", submitModelUnknown},
	{"submit_model_unavailable", submitModelUnavailable},
	{"submit_saturated", submitSaturated},
	{"submit_uncertain", submitUncertain},
	{"get", get},
	{"get_unknown", getUnknown},
	{"adopt", adopt},
	{"adopt_unknown", adoptUnknown},
	{"list_pages", listPages},
	{"wait", wait},
	{"watch_to_end", watchToEnd},
	{"watch_resumes_after_cut", watchResumesAfterCut},
	{"watch_resumes_after_restart", watchResumesAfterRestart},
	{"watch_stops", watchStops},
	{"watch_many", watchMany},
	{"watch_many_resumes_after_cut", watchManyResumesAfterCut},
	{"watch_many_resume_token", watchManyResumeToken},
	{"generate", generate},
	{"generate_failed", generateFailed},
	{"cancel_queued", cancelQueued},
	{"cancel_pending", cancelPending},
	{"cancel_in_progress", cancelInProgress},
	{"cancel_ended", cancelEnded},
	{"estimate", estimate},
	{"estimate_upstream_away", estimateUpstreamAway},
	{"estimate_credentials_refused", estimateCredentialsRefused},
	{"delete", deleteDone},
	{"delete_not_done", deleteNotDone},
	{"explain", explain},
	{"deadline", deadline},
	{"no_key", noKey},
	{"wrong_key", wrongKey},
	{"other_tenant", otherTenant},
	{"tls", overTLS},
	{"dead_connection", deadConnection},
	{"moved_name", movedName},
	{"concurrent_calls", concurrentCalls},
	{"closed_client", closedClient},
	{"upload_bytes", uploadBytes},
	{"upload_stream", uploadStream},
	{"upload_refused", uploadRefused},
	{"create_upload", createUpload},
	{"watch_token", watchToken},
	{"list_models", listModels},
	{"watch_models", watchModels},
	{"get_model", getModel},
	{"list_motions", listMotions},
	{"list_soul_styles", listSoulStyles},
	{"list_presets", listPresets},
	{"create_character", createCharacter},
	{"get_character", getCharacter},
	{"list_characters", listCharacters},
	{"watch_character", watchCharacter},
	{"delete_character", deleteCharacter},
	{"create_callback", createCallback},
	{"lost_callback_secret", lostCallbackSecret},
	{"get_callback", getCallback},
	{"list_callbacks", listCallbacks},
	{"update_callback", updateCallback},
	{"delete_callback", deleteCallback},
	{"rotate_callback_secret", rotateCallbackSecret},
	{"test_callback", testCallback},
	{"list_deliveries", listDeliveries},
	{"redeliver_delivery", redeliverDelivery},
}

func main() {
	chosen, err := choose(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	stage := newStage()
	good := true
	for _, one := range chosen {
		good = judge(stage, one) && good
	}
	if !good {
		os.Exit(1)
	}
}

func choose(names []string) ([]behaviour, error) {
	if len(names) == 0 {
		return behaviours, nil
	}
	var chosen []behaviour
	for _, name := range names {
		before := len(chosen)
		for _, one := range behaviours {
			if one.name == name {
				chosen = append(chosen, one)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("unknown behaviour: %s", name)
		}
	}
	return chosen, nil
}

// judge runs a behaviour, prints its result, and returns whether it passed.
func judge(stage *stage, one behaviour) bool {
	result := struct {
		Behaviour string `json:"behaviour"`
		OK        bool   `json:"ok"`
		Error     string `json:"error,omitempty"`
	}{Behaviour: one.name}
	result.Error = perform(stage, one)
	result.OK = result.Error == ""
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(result); err != nil {
		panic(err)
	}
	return result.OK
}

// perform runs one behaviour, and returns what went wrong, or "".
func perform(stage *stage, one behaviour) (wrong string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	defer func() {
		switch thrown := recover().(type) {
		case nil:
		case failure:
			wrong = string(thrown)
		default:
			fmt.Fprintf(os.Stderr, "%s\n", debug.Stack())
			wrong = fmt.Sprintf("panic: %v", thrown)
		}
	}()
	one.perform(&trial{stage: stage, ctx: ctx})
	return ""
}
