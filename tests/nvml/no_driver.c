/* A library without a driver behind it. */
int nvmlInit_v2(void) { return 9; }
