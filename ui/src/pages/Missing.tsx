import { Link } from "react-router";
import { Notice } from "../parts/Notice";

export function Missing() {
  return (
    <Notice title="There is no such page">
      <Link to="/ui/sessions">Sessions</Link>
    </Notice>
  );
}
