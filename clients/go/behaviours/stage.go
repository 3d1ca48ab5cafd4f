package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
)

// stage has the environment of a run, and a client of the gateway.
type stage struct {
	address, namedAddress, apiKey, otherAPIKey, tlsAddress, tlsCA, harness string
	client                                                                 *hfgateway.Client
}

func newStage() *stage {
	s := &stage{
		address:      os.Getenv("HFG_ADDRESS"),
		namedAddress: os.Getenv("HFG_NAMED_ADDRESS"),
		apiKey:       os.Getenv("HFG_API_KEY"),
		otherAPIKey:  os.Getenv("HFG_OTHER_API_KEY"),
		tlsAddress:   os.Getenv("HFG_TLS_ADDRESS"),
		tlsCA:        os.Getenv("HFG_TLS_CA"),
		harness:      os.Getenv("HFG_CONTROL"),
	}
	s.client = hfgateway.Must(hfgateway.New(s.address, hfgateway.WithAPIKey(s.apiKey)))
	return s
}

// trial is the run of one behaviour.
type trial struct {
	*stage
	ctx context.Context
}

// failure is the panic that ends a trial.
type failure string

func (t *trial) failf(format string, arguments ...any) {
	panic(failure(place() + ": " + fmt.Sprintf(format, arguments...)))
}

// place returns the line of the behaviour: the first caller outside this file.
func place() string {
	for depth := 1; ; depth++ {
		_, path, line, found := runtime.Caller(depth)
		if file := filepath.Base(path); !found || file != "stage.go" {
			return fmt.Sprintf("%s:%d", file, line)
		}
	}
}

// check fails the trial with the details unless holds is true.
func (t *trial) check(holds bool, details ...any) {
	if !holds {
		t.failf("not as expected: %v", details)
	}
}

// value returns a function that returns the value of a call, and fails the trial if it returned an error.
func value[V any](t *trial) func(V, error) V {
	return func(v V, err error) V {
		if err != nil {
			t.failf("%v", err)
		}
		return v
	}
}

// refused checks the kind and reason of err, and returns it.
func (t *trial) refused(err, kind error, reason string) *hfgateway.Error {
	var failed *hfgateway.Error
	if !errors.As(err, &failed) || !errors.Is(err, kind) || failed.Reason != reason {
		t.failf("%v instead of %v (%q)", err, kind, reason)
	}
	return failed
}

// isClosed checks that err is the error of a closed client.
func (t *trial) isClosed(err error) {
	if !errors.Is(err, hfgateway.ErrClosed) {
		t.failf("%v instead of %v", err, hfgateway.ErrClosed)
	}
}

// impatient disables retries, so that calls return their first failure.
var impatient = hfgateway.WithRetryPolicy(hfgateway.RetryPolicy{RepeatCallsFor: -1})

// another returns a client with its own key and connection. The caller closes it.
func (t *trial) another(address, key string, options ...hfgateway.Option) *hfgateway.Client {
	return value[*hfgateway.Client](t)(hfgateway.New(address, append(options, hfgateway.WithAPIKey(key))...))
}

// control sends a request to the harness.
func (t *trial) control(path string, body, answer any) {
	text := value[[]byte](t)(json.Marshal(body))
	request := value[*http.Request](t)(
		http.NewRequestWithContext(t.ctx, http.MethodPost, t.harness+path, bytes.NewReader(text)))
	request.Header.Set("content-type", "application/json")
	response := value[*http.Response](t)(http.DefaultClient.Do(request))
	defer response.Body.Close()
	text = value[[]byte](t)(io.ReadAll(response.Body))
	if response.StatusCode != http.StatusOK {
		t.failf("%s: %s: %s", path, response.Status, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.failf("%s: %v", path, err)
		}
	}
}

// advance advances time at Higgsfield.
func (t *trial) advance(seconds float64) {
	t.control("/advance", map[string]any{"seconds": seconds}, nil)
}

// cut resets the connections to the gateway. There must be at least one.
func (t *trial) cut() {
	var answer struct{ Connections int }
	t.control("/cut", map[string]any{}, &answer)
	t.check(answer.Connections > 0, "there was no connection to cut")
}

func (t *trial) restart() {
	t.control("/restart", map[string]any{}, nil)
}

type fault map[string]any

// plan makes Higgsfield fail for one prompt.
func (t *trial) plan(prompt string, planned fault) {
	planned["prompt"] = prompt
	t.control("/plan", map[string]any{"faults": []fault{planned}}, nil)
}

type ledger struct{ Charges, Submissions int }

func (t *trial) ledger(prompt string) (found ledger) {
	t.control("/charges", map[string]any{"prompt": prompt}, &found)
	return found
}

// charged checks how many charges and submissions Higgsfield has for a prompt.
func (t *trial) charged(prompt string, charges, submissions int) {
	if found := t.ledger(prompt); found != (ledger{charges, submissions}) {
		t.failf("%s: %+v", prompt, found)
	}
}

// submitted waits until Higgsfield has received the prompt.
func (t *trial) submitted(prompt string) {
	for t.ledger(prompt).Submissions == 0 {
		select {
		case <-t.ctx.Done():
			t.failf("never sent to Higgsfield: %s", prompt)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// withKey sets the idempotency key of a submission.
func withKey(key string) func(*hfgateway.SubmitRequest) {
	return func(r *hfgateway.SubmitRequest) { r.IdempotencyKey = key }
}

func waitBriefly(r *hfgateway.SubmitRequest) { r.WaitTimeout = durationpb.New(500 * time.Millisecond) }

// submit submits a prompt, which must succeed.
func (t *trial) submit(prompt string, set ...func(*hfgateway.SubmitRequest)) *hfgateway.Submission {
	return value[*hfgateway.Submission](t)(t.client.Submit(t.ctx, hfgateway.Soul(prompt), set...))
}

// queued returns a generation that Higgsfield has accepted but not started.
func (t *trial) queued(prompt string, set ...func(*hfgateway.SubmitRequest)) *hfgateway.Generation {
	found := t.submit(prompt, set...).Generation
	t.check(found.GetState() == hfgateway.StateQueued, found.GetState())
	return found
}

// running returns a generation that Higgsfield is running.
func (t *trial) running(prompt string) *hfgateway.Generation {
	id := t.queued(prompt).GetId()
	t.advance(1.5)
	return t.until(id, hfgateway.StateInProgress)
}

// completed returns a completed generation.
func (t *trial) completed(prompt string) *hfgateway.Generation {
	id := t.queued(prompt).GetId()
	t.advance(60)
	return t.until(id, hfgateway.StateCompleted)
}

// until watches the generation until it reaches a state.
func (t *trial) until(id string, state hfgateway.State) *hfgateway.Generation {
	for changed, err := range t.client.Watch(t.ctx, id) {
		if err != nil {
			t.failf("%v", err)
		}
		if changed.GetState() == state {
			return changed
		}
	}
	t.failf("ended without reaching %s", state)
	return nil
}

// reader reads a sequence step by step, and keeps the values.
type reader[V any] struct {
	t    *trial
	next func() (V, error, bool)
	stop func()
	seen []V
}

func read[V any](t *trial, sequence iter.Seq2[V, error]) *reader[V] {
	next, stop := iter.Pull2(sequence)
	return &reader[V]{t: t, next: next, stop: stop}
}

// until reads to the first value for which holds returns true, and returns it.
func (r *reader[V]) until(holds func(V) bool) V {
	for {
		read, err, more := r.next()
		if !more {
			r.t.failf("the sequence ended early: %v", r.seen)
		}
		if err != nil {
			r.t.failf("%v", err)
		}
		r.seen = append(r.seen, read)
		if holds(read) {
			return read
		}
	}
}

// rest reads to the end, and returns all values.
func (r *reader[V]) rest() []V {
	for {
		read, err, more := r.next()
		if !more {
			return r.seen
		}
		if err != nil {
			r.t.failf("%v", err)
		}
		r.seen = append(r.seen, read)
	}
}

// unique returns a prompt or label that is used only once.
func unique(words string) string {
	return words + " " + hfgateway.NewIdempotencyKey()
}
