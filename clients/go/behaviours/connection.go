package main

import (
	"sync"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
)

func deadConnection(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	var answer struct{ Connections int }
	t.control("/swallow", map[string]any{}, &answer)
	t.check(answer.Connections > 0, "there was no connection to swallow")
	found := value[*hfgateway.Generation](t)(t.client.Get(t.ctx, id))
	t.check(found.GetId() == id, found)
}

func movedName(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	client := t.another(t.namedAddress, t.apiKey, hfgateway.WithInsecure())
	defer client.Close()
	watch := read(t, client.Watch(t.ctx, id))
	defer watch.stop()
	watch.until(func(one *hfgateway.Generation) bool { return one.GetState() == hfgateway.StateQueued })
	t.control("/move", map[string]any{}, nil)
	t.advance(60)
	for number, one := range watch.rest() {
		t.check(one.GetRevision() == int32(number+1), watch.seen)
	}
	found := value[*hfgateway.Generation](t)(client.Get(t.ctx, id))
	t.check(found.GetState() == hfgateway.StateCompleted, found)
}

func concurrentCalls(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	var calls, watches sync.WaitGroup
	wrong := make(chan string, 22)
	for range 11 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			if found, err := t.client.Get(t.ctx, id); err != nil || found.GetId() != id {
				wrong <- "a call failed"
			}
		}()
		watches.Add(1)
		go func() {
			defer watches.Done()
			var last *hfgateway.Generation
			for changed, err := range t.client.Watch(t.ctx, id) {
				if err != nil {
					wrong <- err.Error()
				}
				last = changed
			}
			if last.GetState() != hfgateway.StateCompleted {
				wrong <- "a watch ended early"
			}
		}()
	}
	calls.Wait()
	t.advance(60)
	watches.Wait()
	select {
	case text := <-wrong:
		t.failf("%s", text)
	default:
	}
}

func closedClient(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	client := t.another(t.address, t.apiKey)
	watch := read(t, client.Watch(t.ctx, id))
	defer watch.stop()
	watch.until(func(*hfgateway.Generation) bool { return true })
	waited := make(chan error, 1)
	go func() {
		_, err := client.Wait(t.ctx, id, 0)
		waited <- err
	}()
	value[*hfgateway.Generation](t)(client.Get(t.ctx, id))
	client.Close()
	t.isClosed(<-waited)
	_, err, more := watch.next()
	for more && err == nil {
		_, err, more = watch.next() // a change that had arrived
	}
	t.isClosed(err)
	_, err = client.Get(t.ctx, id)
	t.isClosed(err)
	found := value[*hfgateway.Generation](t)(t.client.Get(t.ctx, id))
	t.check(found.GetState() == hfgateway.StateQueued, found)
}
