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

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
)

// stage is the environment of a run, and a client of it.
type stage struct {
	address, apiKey, otherAPIKey, tlsAddress, tlsCA, harness string
	client                                                   *hfgateway.Client
}

func newStage() *stage {
	s := &stage{
		address:     os.Getenv("HFG_ADDRESS"),
		apiKey:      os.Getenv("HFG_API_KEY"),
		otherAPIKey: os.Getenv("HFG_OTHER_API_KEY"),
		tlsAddress:  os.Getenv("HFG_TLS_ADDRESS"),
		tlsCA:       os.Getenv("HFG_TLS_CA"),
		harness:     os.Getenv("HFG_CONTROL"),
	}
	s.client = hfgateway.Must(hfgateway.New(s.address, hfgateway.WithAPIKey(s.apiKey)))
	return s
}

// trial is one behaviour that is performed.
type trial struct {
	*stage
	ctx context.Context
}

// failure ends a trial, as a panic.
type failure string

func (t *trial) failf(format string, arguments ...any) {
	panic(failure(place() + ": " + fmt.Sprintf(format, arguments...)))
}

// place in the behaviour that is performed, the first above this file.
func place() string {
	for depth := 1; ; depth++ {
		_, path, line, found := runtime.Caller(depth)
		if file := filepath.Base(path); !found || file != "stage.go" {
			return fmt.Sprintf("%s:%d", file, line)
		}
	}
}

// check fails with what is told where the condition does not hold.
func (t *trial) check(holds bool, told ...any) {
	if !holds {
		t.failf("not as expected: %v", told)
	}
}

// value of a call that has to succeed: one that returned (V, error).
func value[V any](t *trial) func(V, error) V {
	return func(v V, err error) V {
		if err != nil {
			t.failf("%v", err)
		}
		return v
	}
}

// refused returns the error that a call ended with, which has to be of a kind and a reason.
func (t *trial) refused(err, kind error, reason string) *hfgateway.Error {
	var failed *hfgateway.Error
	if !errors.As(err, &failed) || !errors.Is(err, kind) || failed.Reason != reason {
		t.failf("%v, and not %v (%q)", err, kind, reason)
	}
	return failed
}

// impatient clients tell the first failure of a call, and do not make it again.
var impatient = hfgateway.WithRetryPolicy(hfgateway.RetryPolicy{RepeatCallsFor: -1})

// another client of the gateway, with a key and a connection of its own; the caller closes it.
func (t *trial) another(address, key string, options ...hfgateway.Option) *hfgateway.Client {
	return value[*hfgateway.Client](t)(hfgateway.New(address, append(options, hfgateway.WithAPIKey(key))...))
}

// control asks the harness for something.
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

// advance lets time pass at Higgsfield.
func (t *trial) advance(seconds float64) {
	t.control("/advance", map[string]any{"seconds": seconds}, nil)
}

// cut resets the connections to the gateway, of which there has to be one.
func (t *trial) cut() {
	var answer struct{ Connections int }
	t.control("/cut", map[string]any{}, &answer)
	t.check(answer.Connections > 0, "there was no connection to cut")
}

func (t *trial) restart() {
	t.control("/restart", map[string]any{}, nil)
}

type fault map[string]any

// plan has Higgsfield err about one prompt.
func (t *trial) plan(prompt string, planned fault) {
	planned["prompt"] = prompt
	t.control("/plan", map[string]any{"faults": []fault{planned}}, nil)
}

type ledger struct{ Charges, Submissions int }

func (t *trial) ledger(prompt string) (found ledger) {
	t.control("/charges", map[string]any{"prompt": prompt}, &found)
	return found
}

// charged has to be so often what Higgsfield charged for a prompt, and was sent.
func (t *trial) charged(prompt string, charges, submissions int) {
	if found := t.ledger(prompt); found != (ledger{charges, submissions}) {
		t.failf("%s: %+v", prompt, found)
	}
}

// submitted returns once Higgsfield was sent the prompt.
func (t *trial) submitted(prompt string) {
	for t.ledger(prompt).Submissions == 0 {
		select {
		case <-t.ctx.Done():
			t.failf("never sent to Higgsfield: %s", prompt)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// submit has to succeed.
func (t *trial) submit(prompt string, options ...hfgateway.SubmitOption) *hfgateway.Submission {
	return value[*hfgateway.Submission](t)(t.client.Submit(t.ctx, hfgateway.Soul(prompt), options...))
}

// queued is one that Higgsfield has accepted and not begun.
func (t *trial) queued(prompt string, options ...hfgateway.SubmitOption) *hfgateway.Generation {
	found := t.submit(prompt, options...).Generation
	t.check(found.GetState() == hfgateway.StateQueued, found.GetState())
	return found
}

// running is one that runs at Higgsfield.
func (t *trial) running(prompt string) *hfgateway.Generation {
	id := t.queued(prompt).GetId()
	t.advance(1.5)
	return t.until(id, hfgateway.StateInProgress)
}

// completed is one that has ended well.
func (t *trial) completed(prompt string) *hfgateway.Generation {
	id := t.queued(prompt).GetId()
	t.advance(60)
	return t.until(id, hfgateway.StateCompleted)
}

// until the generation has come to a state.
func (t *trial) until(id string, state hfgateway.State) *hfgateway.Generation {
	for changed, err := range t.client.Watch(t.ctx, id) {
		if err != nil {
			t.failf("%v", err)
		}
		if changed.GetState() == state {
			return changed
		}
	}
	t.failf("ended without having been %s", state)
	return nil
}

// reader reads a sequence step by step, and keeps what it has read.
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

// until it holds for what is read, which is returned.
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

// rest reads to the end.
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

// unique is a prompt or a label that nobody else uses.
func unique(words string) string {
	return words + " " + hfgateway.NewIdempotencyKey()
}
