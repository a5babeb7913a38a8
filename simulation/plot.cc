#include "simulation/plot.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tandem::simulation {
namespace {

constexpr double kPanelWidth = 380;
constexpr double kPanelHeight = 260;
constexpr double kTop = 50;
// Told apart with any colour vision (Okabe and Ito); the first is Tandem's.
constexpr const char* kColours[] = {"#D55E00", "#0072B2", "#009E73",
                                    "#CC79A7", "#E69F00", "#56B4E9"};

struct Line {
  std::string name;
  std::string colour;
  bool dashed = false;
  std::function<double(const Outcome&)> value;
};

// One diagram: its place, and the ends of its axes.
struct Panel {
  double left;
  std::string title;
  double least_load;
  double most_load;
  double most;

  double X(double load) const {
    const double range = std::max(most_load - least_load, 1e-9);
    return left + kPanelWidth * (load - least_load) / range;
  }
  double Y(double value) const { return kTop + kPanelHeight * (1 - std::min(value / most, 1.0)); }
};

// A round number of at least `value`.
double RoundUp(double value) {
  const double power = std::pow(10, std::floor(std::log10(std::max(value, 1e-9))));
  for (const double step : {1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

std::string Text(double x, double y, const char* anchor, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                         text);
}

std::string Axes(const Panel& panel) {
  std::string svg = Text(panel.left, kTop - 14, "start", panel.title);
  for (int i = 0; i <= 4; ++i) {
    const double value = panel.most * i / 4;
    absl::StrAppendFormat(&svg, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#ddd\"/>\n", panel.left,
                          panel.Y(value), kPanelWidth);
    absl::StrAppend(&svg, Text(panel.left - 6, panel.Y(value) + 4, "end", absl::StrCat(value)));
    const double load = panel.least_load + (panel.most_load - panel.least_load) * i / 4;
    absl::StrAppend(&svg, Text(panel.X(load), kTop + kPanelHeight + 18, "middle",
                               absl::StrFormat("%.2f", load)));
  }
  absl::StrAppend(&svg, Text(panel.left + kPanelWidth / 2, kTop + kPanelHeight + 36, "middle",
                             "load over capacity"));
  return svg;
}

std::string Curve(const Panel& panel, const Line& line, const std::vector<Outcome>& outcomes) {
  std::string points;
  for (const Outcome& outcome : outcomes) {
    if (!line.name.empty() && outcome.policy != line.name) continue;
    absl::StrAppendFormat(&points, "%.1f,%.1f ", panel.X(outcome.load),
                          panel.Y(line.value(outcome)));
  }
  return absl::StrFormat(
      "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s/>\n", points,
      line.colour, line.name == "tandem" ? "3" : "1.5",
      line.dashed ? " stroke-dasharray=\"5 4\"" : "");
}

}  // namespace

std::string PlotSvg(const Experiment& experiment) {
  const std::vector<Outcome>& outcomes = experiment.outcomes;
  std::vector<std::string> policies;
  double most_goodput = 0;
  double least_load = outcomes.front().load;
  double most_load = least_load;
  for (const Outcome& outcome : outcomes) {
    if (std::find(policies.begin(), policies.end(), outcome.policy) == policies.end()) {
      policies.push_back(outcome.policy);
    }
    most_goodput = std::max({most_goodput, outcome.goodput, outcome.fluid_bound});
    least_load = std::min(least_load, outcome.load);
    most_load = std::max(most_load, outcome.load);
  }
  const Panel goodput{70, "goodput, requests/s", least_load, most_load, RoundUp(most_goodput)};
  // What is later than that is lost anyhow.
  const double slo_ms = ToSeconds(experiment.scenario.slo) * 1e3;
  const Panel p99{530, "p99 of the answers, ms", least_load, most_load, RoundUp(2 * slo_ms)};
  std::string svg = absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 940 400\" width=\"940\" "
      "height=\"400\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"940\" height=\"400\" fill=\"white\"/>\n",
      Axes(goodput), Axes(p99));
  absl::StrAppend(&svg, Text(70, 20, "start", experiment.scenario.name));
  for (size_t i = policies.size(); i-- > 0;) {
    Line line{policies[i], kColours[i % std::size(kColours)], false,
              [](const Outcome& outcome) { return outcome.goodput; }};
    absl::StrAppend(&svg, Curve(goodput, line, outcomes));
    line.value = [](const Outcome& outcome) { return outcome.p99_ms; };
    absl::StrAppend(&svg, Curve(p99, line, outcomes));
    absl::StrAppendFormat(&svg, "<g fill=\"%s\">%s</g>\n", line.colour,
                          Text(130.0 + 125.0 * static_cast<double>(i), 385, "middle", line.name));
  }
  Line bound{policies.front(), "black", true,
             [](const Outcome& outcome) { return outcome.fluid_bound; }};
  absl::StrAppend(&svg, Curve(goodput, bound, outcomes));
  absl::StrAppend(&svg, Text(130.0 + 125.0 * static_cast<double>(policies.size()), 385, "middle",
                             "fluid bound (dashed)"));
  return absl::StrCat(svg, "</svg>\n");
}

}  // namespace tandem::simulation
