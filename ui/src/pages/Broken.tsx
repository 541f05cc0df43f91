import { useRouteError } from "react-router";
import { Failure } from "../parts/Notice";

/** In the place of a page that could not be fetched, or that made a mistake. */
export function Broken() {
  const said = useRouteError();
  const error = said instanceof Error ? said : new Error(String(said));
  return <Failure error={error} retry={() => window.location.reload()} />;
}
