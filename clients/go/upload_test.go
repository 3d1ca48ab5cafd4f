package hfgateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc/codes"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// store is a step that receives an upload, stores its parts in the pointers, and responds with its size.
func store(header **pb.UploadHeader, chunks *[][]byte) step {
	return func(received *call) error {
		*header = received.request.(*pb.UploadMediaRequest).GetHeader()
		size := 0
		err := readAll(received, func(message *pb.UploadMediaRequest) {
			*chunks = append(*chunks, message.GetChunk())
			size += len(message.GetChunk())
		})
		if err != nil {
			return err
		}
		return respond(&pb.UploadMediaResponse{Url: "https://media.invalid/1", Size: int64(size)})(received)
	}
}

func TestUploadSendsChunksAndKnownSize(t *testing.T) {
	media := bytes.Repeat([]byte("0123456789abcdef"), (3<<20)/16+1) // a little more than 3 MiB
	path := filepath.Join(t.TempDir(), "media")
	if err := os.WriteFile(path, append([]byte("skipped"), media...), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(int64(len("skipped")), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]struct {
		reader io.Reader
		known  bool
	}{
		"bytes":    {bytes.NewReader(media), true},
		"a buffer": {bytes.NewBuffer(bytes.Clone(media)), true},
		"a file":   {file, true},
		"a stream": {io.MultiReader(bytes.NewReader(media)), false},
		"drips":    {&drip{media}, false},
	} {
		g := newGateway(t)
		var header *pb.UploadHeader
		var chunks [][]byte
		g.on("UploadMedia", store(&header, &chunks))
		client, _ := newClient(t, g.address())

		stored, err := client.Upload(within(t), source.reader, "image/png")

		if err != nil || stored.GetUrl() == "" || stored.GetSize() != int64(len(media)) {
			t.Errorf("%s: %v, %v", name, stored, err)
		}
		if !bytes.Equal(bytes.Join(chunks, nil), media) {
			t.Errorf("%s: other bytes received", name)
		}
		full := 256 << 10
		if name == "drips" {
			full = dripSize
		}
		for number, chunk := range chunks {
			if last := number == len(chunks)-1; len(chunk) > full || (!last && len(chunk) != full) {
				t.Errorf("%s: chunk %d has %d bytes", name, number, len(chunk))
			}
		}
		if header.GetContentType() != "image/png" || (header.Size != nil) != source.known ||
			source.known && header.GetSize() != int64(len(media)) {
			t.Errorf("%s: header %v", name, header)
		}
	}
}

func TestUploadSendsWhatASourceHasSoFar(t *testing.T) {
	g := newGateway(t)
	arrived := make(chan struct{}, 1)
	g.on("UploadMedia", func(received *call) error {
		if err := readAll(received, func(*pb.UploadMediaRequest) { arrived <- struct{}{} }); err != nil {
			return err
		}
		return respond(&pb.UploadMediaResponse{})(received)
	})
	client, _ := newClient(t, g.address())
	pieces := []string{"a", "b", ""}
	source := reading(func(into []byte) (int, error) {
		if len(pieces) < 3 { // the source has nothing more until the last piece has arrived
			select {
			case <-arrived:
			case <-time.After(patience):
				return 0, errors.New("the last piece has not arrived")
			}
		}
		piece := pieces[0]
		pieces = pieces[1:]
		if piece == "" {
			return 0, io.EOF
		}
		return copy(into, piece), nil
	})

	if _, err := client.Upload(within(t), source, "image/png"); err != nil {
		t.Fatal(err)
	}
}

func TestUploadSendsWhatIsReadTogetherWithTheEnd(t *testing.T) {
	g := newGateway(t)
	var header *pb.UploadHeader
	var chunks [][]byte
	g.on("UploadMedia", store(&header, &chunks))
	client, _ := newClient(t, g.address())

	_, err := client.Upload(within(t), iotest.DataErrReader(io.MultiReader(strings.NewReader("abc"))), "image/png")

	if err != nil || string(bytes.Join(chunks, nil)) != "abc" {
		t.Fatal(err, chunks)
	}
}

func TestUploadIsCanceledIfSourceFails(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, end := range map[string]error{"an error": broken, "a truncated body": io.ErrUnexpectedEOF} {
		g := newGateway(t)
		began, ended := make(chan struct{}), make(chan struct{})
		var seen error
		g.on("UploadMedia", func(received *call) error {
			defer close(ended)
			close(began)
			seen = readAll(received, func(*pb.UploadMediaRequest) {})
			return seen
		})
		client, _ := newClient(t, g.address())
		source := io.MultiReader(strings.NewReader(strings.Repeat("x", 300<<10)), failing(func() error {
			wait(t, began, "the upload at the gateway")
			return end
		}))

		_, err := client.Upload(within(t), source, "image/png")

		if !errors.Is(err, end) {
			t.Errorf("%s: %v", name, err)
		}
		if wait(t, ended, "the end of the upload at the gateway"); seen == nil {
			t.Errorf("%s: the gateway received a complete stream", name)
		}
	}
}

func TestUploadReturnsEarlyRefusal(t *testing.T) {
	g := newGateway(t)
	g.on("UploadMedia", refuse(codes.InvalidArgument, &pb.Failure{
		Reason: pb.ErrorReason_ERROR_REASON_INPUT_REFUSED, Message: "no such type",
	}))
	client, _ := newClient(t, g.address())

	_, err := client.Upload(within(t), endless{}, "image/psd")

	if !errors.Is(err, hfgateway.ErrInputRefused) {
		t.Fatal(err)
	}
}

func TestSilentPipeDelaysNeitherTheContextNorARefusal(t *testing.T) {
	refusal := refuse(codes.InvalidArgument, &pb.Failure{
		Reason: pb.ErrorReason_ERROR_REASON_INPUT_REFUSED, Message: "no such type",
	})
	for _, expected := range []error{hfgateway.ErrInputRefused, context.Canceled} {
		g := newGateway(t)
		ctx, cancel := context.WithCancel(within(t))
		reads := make(chan struct{})
		g.on("UploadMedia", func(received *call) error {
			wait(t, reads, "the read")
			if expected != context.Canceled {
				return refusal(received)
			}
			cancel()
			return hang(received)
		})
		client, _ := newClient(t, g.address())
		silent, writer := io.Pipe()
		defer writer.Close()
		source := reading(func(into []byte) (int, error) {
			close(reads)
			return silent.Read(into)
		})
		ended := make(chan error, 1)

		go func() {
			_, err := client.Upload(ctx, source, "image/png")
			ended <- err
		}()

		select {
		case err := <-ended:
			if !errors.Is(err, expected) {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the upload waits for its source")
		}
		cancel()
	}
}

func TestPanicOfASourceIsThatOfTheCaller(t *testing.T) {
	g := newGateway(t)
	began := make(chan struct{})
	g.on("UploadMedia", func(received *call) error {
		close(began)
		return hang(received)
	})
	client, _ := newClient(t, g.address())
	defer func() {
		if found := recover(); found != "out of paper" {
			t.Error(found)
		}
	}()
	source := reading(func([]byte) (int, error) {
		wait(t, began, "the upload at the gateway")
		panic("out of paper")
	})

	_, err := client.Upload(within(t), source, "image/png")

	t.Error(err)
}

func TestBrokenUploadIsNotRetried(t *testing.T) {
	g := newGateway(t)
	g.on("UploadMedia", g.cutConnections)
	client, clock := newClient(t, g.address())

	_, err := client.Upload(within(t), endless{}, "image/png")

	if !errors.Is(err, hfgateway.ErrUnavailable) || len(clock.slept) > 0 {
		t.Fatal(err, clock.slept)
	}
}

const dripSize = 10_007

// drip returns a few bytes from each Read.
type drip struct{ left []byte }

func (d *drip) Read(into []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	count := copy(into, d.left[:min(len(d.left), dripSize)])
	d.left = d.left[count:]
	return count, nil
}

type reading func([]byte) (int, error)

func (r reading) Read(into []byte) (int, error) { return r(into) }

type failing func() error

func (f failing) Read([]byte) (int, error) { return 0, f() }

type endless struct{}

func (endless) Read(into []byte) (int, error) { return len(into), nil }
