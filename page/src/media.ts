/** Shows the outputs of a generation. A video is loaded when it comes into view. */

import { type Generation, MediaKind, type Output } from "@hfgateway/client/browser";
import { element } from "./dom.js";
import { promptOf } from "./format.js";

/** Returns an element for each finished output. */
export function mediaOf(generation: Generation): HTMLElement[] {
  const outputs = generation.outputs.filter((output) => output.url);
  return outputs.map((output, index) => media(output, nameOf(generation, index, outputs.length)));
}

/** Returns a text in place of the picture: the prompt, which says what was asked for, and which output it is. */
function nameOf(generation: Generation, index: number, count: number): string {
  const prompt = promptOf(generation);
  if (count === 1 && prompt) return prompt;
  const number = count === 1 ? "Output" : `Output ${index + 1} of ${count}`;
  return `${number}: ${prompt || generation.modelId || generation.id}`;
}

function media(output: Output, name: string): HTMLElement {
  switch (output.kind) {
    case MediaKind.IMAGE: {
      const image = element("img");
      Object.assign(image, { loading: "lazy", decoding: "async", alt: name, src: output.previewUrl || output.url });
      return linkTo(output.url, image);
    }
    case MediaKind.VIDEO: {
      const video = element("video");
      Object.assign(video, { controls: true, preload: "none", muted: true, loop: true, playsInline: true });
      video.setAttribute("aria-label", name);
      if (output.previewUrl) video.poster = output.previewUrl;
      video.src = output.url;
      NEAR.observe(video);
      return video;
    }
    case MediaKind.AUDIO: {
      const audio = element("audio");
      Object.assign(audio, { controls: true, preload: "none", src: output.url });
      audio.setAttribute("aria-label", name);
      return audio;
    }
    default:
      return linkTo(output.url, element("span", "file", output.name || name));
  }
}

/** Loads the first frame of videos that are near the viewport. */
const NEAR = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      (target as HTMLVideoElement).preload = "metadata";
      NEAR.unobserve(target);
    }
  },
  { rootMargin: "400px" },
);

/** Outputs are on another host. It gets no referrer, and cannot access this page. */
function linkTo(url: string, content: HTMLElement): HTMLAnchorElement {
  const link = element("a", "result", content);
  if (/^https?:/i.test(url)) link.href = url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}
