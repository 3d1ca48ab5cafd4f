package main

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"os"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func uploadBytes(t *trial) {
	media := picture(t, 8)
	stored := value[*pb.UploadMediaResponse](t)(t.client.Upload(t.ctx, bytes.NewReader(media), "image/png"))
	t.check(stored.GetUrl() != "" && stored.GetSize() == int64(len(media)), stored)
	servesAsInput(t, stored.GetUrl())
}

func uploadStream(t *trial) {
	media := picture(t, 1024)
	t.check(len(media) >= 3<<20, "too small to take several chunks", len(media))
	file := value[*os.File](t)(os.CreateTemp("", "behaviours-*.png"))
	defer os.Remove(file.Name())
	defer file.Close()
	value[int](t)(file.Write(media))
	value[int64](t)(file.Seek(0, io.SeekStart))
	for _, source := range []io.Reader{file, io.MultiReader(bytes.NewReader(media))} {
		stored := value[*pb.UploadMediaResponse](t)(t.client.Upload(t.ctx, source, "image/png"))
		t.check(stored.GetSize() == int64(len(media)), stored)
	}
}

func uploadRefused(t *trial) {
	_, err := t.client.Upload(t.ctx, bytes.NewReader([]byte("MZ")), "application/x-msdownload")
	var failed *hfgateway.Error
	if !errors.As(err, &failed) || !errors.Is(err, hfgateway.ErrInvalidInput) {
		t.failf("%v", err)
	}
	t.check(failed.Reason == "INPUT_REFUSED" || failed.Reason == "INVALID_INPUT", failed)
}

func createUpload(t *trial) {
	media := picture(t, 8)
	prepared := value[*pb.CreateUploadResponse](t)(
		t.client.Uploads.CreateUpload(t.ctx, &pb.CreateUploadRequest{ContentType: "image/png"}))
	request := value[*http.Request](t)(
		http.NewRequestWithContext(t.ctx, http.MethodPut, prepared.GetUploadUrl(), bytes.NewReader(media)))
	for name, text := range prepared.GetUploadHeaders() {
		request.Header.Set(name, text)
	}
	response := value[*http.Response](t)(http.DefaultClient.Do(request))
	defer response.Body.Close()
	t.check(response.StatusCode/100 == 2, response.Status)
	servesAsInput(t, prepared.GetUrl())
}

func servesAsInput(t *trial, url string) {
	submission := value[*hfgateway.Submission](t)(t.client.Submit(t.ctx, hfgateway.Dop(unique("zoom in"), []string{url})))
	t.check(submission.Generation.GetState() == hfgateway.StateQueued, submission)
}

// picture returns a PNG of noise, which compresses to about four bytes per pixel.
func picture(t *trial, side int) []byte {
	noise := image.NewNRGBA(image.Rect(0, 0, side, side))
	for x := range side {
		for y := range side {
			bits := rand.Uint32()
			noise.Set(x, y, color.NRGBA{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits>>24) | 1})
		}
	}
	var media bytes.Buffer
	if err := png.Encode(&media, noise); err != nil {
		t.failf("%v", err)
	}
	return media.Bytes()
}
