#include "tests/workers/scripted_worker.h"

int main() { return tandem::testing::RunScriptedWorker(tandem::testing::Opening::kCannotServe); }
