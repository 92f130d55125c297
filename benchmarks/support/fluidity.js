// Fluidity of a page, measured by a script inside it. Without load, a page has 60 frames a second. A click waits for
// the end of a running task, which is noticeable from 50 ms.
(() => {
  const FREEZE_MS = 50;
  let gaps = [];
  let tasks = [];
  let last = performance.now();
  let began = last;

  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const tick = (now) => {
    gaps.push(now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)));
  observer.observe({ entryTypes: ["longtask"] });

  const answered = (asked, since) =>
    performance
      .getEntriesByType("resource")
      .some((one) => one.startTime >= since && one.responseEnd > 0 && one.name.match(asked));

  window.fluidity = {
    begin() {
      performance.clearResourceTimings();
      [gaps, tasks, began] = [[], [], performance.now()];
    },

    /** Return the figures since `begin`. */
    end() {
      return {
        seconds: (performance.now() - began) / 1000,
        frames: gaps.length,
        frames_over_50_ms: gaps.filter((gap) => gap > FREEZE_MS).length,
        longest_frame_ms: Math.max(0, ...gaps),
        long_tasks: tasks.length,
        longest_task_ms: Math.max(0, ...tasks),
      };
    },

    /** Click or enter a value; return the ms until two frames after a response to `asked`, or an element `shown`. */
    async act(selector, value, asked, shown) {
      performance.clearResourceTimings();
      const since = performance.now();
      const element = document.querySelector(selector);
      if (value === null) element.click();
      else {
        element.value = value;
        element.dispatchEvent(new Event(element.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
      }
      while (asked ? !answered(new RegExp(asked), since) : !document.querySelector(shown)) await frame();
      await frame();
      await frame();
      return performance.now() - since;
    },
  };
})();
